"""The documentation as tests read it: pages, headings, links, and fenced blocks with their marks.

A comment above a block, which no reader sees, says what a test does with it:

``<!-- run -->``
    Run it, after the page's blocks before it. In a ``console`` block the lines after ``$ `` are
    commands and the others their output, in which ``…`` stands for anything.
``<!-- run: server -->``
    Start it and go on when it is ready; it is stopped when the page ends.
``<!-- not run: REASON -->``
    Leave it: one of ``REASONS``.
``<!-- part of: KIND -->``
    YAML of one of KServe's kinds from its top on, or of a recipe: held against that.
``<!-- shown -->``
    Nothing to run: what a program prints, a layout, an example of a request.

YAML with an ``apiVersion`` needs no mark: it is held against its schema.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

REASONS = (
    "needs a cluster",
    "needs Kubeflow",
    "builds images",
    "installs packages",
    "takes minutes",
    "needs a GPU",
    "needs the internet",
)

BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*?) -->\n\s*)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
# A value of fewer words is a name or a figure; a message of fewer letters fits everything.
FEW_WORDS, SPECIFIC = 2, 8
LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its fence, ``mark`` empty where it has none."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def where(self) -> str:
        """The page from the top of the repository, and the line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_manifest(self) -> bool:
        """Whether it is whole objects of a cluster."""
        return self.language == "yaml" and "apiVersion:" in self.text

    @property
    def part_of(self) -> str | None:
        """Whose part it is, None if it is no part."""
        return self.mark.removeprefix("part of: ") if self.mark.startswith("part of: ") else None

    @property
    def reason(self) -> str | None:
        """Why it is not run, None if it is or there is nothing to run."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order, without the page's indentation."""
    content = page.read_text("utf-8")
    found = []
    for each in BLOCK.finditer(content):
        line = content.count("\n", 0, each.start("indent")) + 1
        margin = re.compile(f"^{each['indent']}", re.MULTILINE)
        text = margin.sub("", each["text"])
        found.append(Block(page, line, each["language"], text, each["mark"] or ""))
    return found


def all_blocks() -> list[Block]:
    """Those of every page."""
    return [block for page in PAGES for block in blocks(page)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return BLOCK.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """What ``#…`` may name in a page, as GitHub makes it of headings."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(prose(page)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def links(page: Path) -> list[str]:
    """The targets of a page's links and images."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page)))


def summary() -> str:
    """How many blocks are run, and how many are not for which reason."""
    every = all_blocks()
    run = sum(block.mark.split(":")[0] == "run" for block in every)
    reasons = Counter(block.reason for block in every if block.reason)
    left = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{run} blocks of commands in the documentation are run; not run: {left or 'none'}"


def messages(packages: tuple[str, ...]) -> set[str]:
    """Every text in the code of packages, each value that is filled in as ``…``."""
    found: set[str] = set()
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(_plain(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"%[sd]", "…", node.value))
    return {re.sub("…+", "…", message) for message in found}


def _plain(part: ast.expr) -> str:
    """A constant's text, also where a constant's name stands for it; anything else as ``…``."""
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"


def quotes(page: Path) -> list[str]:
    """The sentences in code in the first cells of a page's tables."""
    cells = re.findall(r"^\| (.+?) \|", page.read_text("utf-8"), re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell) if " " in code]


def is_said(quote: str, said: set[str]) -> bool:
    """Whether a quote is a message, where a value of one may be another message."""
    core = quote.strip("… .")
    if core.count(" ") < FEW_WORDS or any(core in message for message in said):
        return True
    for message in said:
        literal = message.split("…")
        if len(literal) > 1 and len("".join(literal)) > SPECIFIC:
            pattern = "(.+)".join(map(re.escape, literal))
            match = re.fullmatch(pattern, core) or re.fullmatch(pattern, quote)
            if match and all(is_said(value, said) for value in match.groups()):
                return True
    return False
