"""Read the documentation: pages, headings, links, and fenced blocks with their marks.

A comment above a block, invisible to readers, says what a test does with it:

``<!-- run -->``
    Run it after the page's earlier blocks. In a ``console`` block the lines after ``$ `` are
    commands and the others their output, in which ``…`` stands for anything.
``<!-- run: server -->``
    Start it, wait until it is ready, and stop it at the end of the page.
``<!-- not run: REASON -->``
    Skip it for one of ``REASONS``.
``<!-- part of: KIND -->``
    Check it as the beginning of one of KServe's kinds, or as a recipe.
``<!-- shown -->``
    Nothing to run: a program's output, a layout, an example of a request.

YAML with an ``apiVersion`` needs no mark: it is checked against its schema.
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
# A value of fewer spaces is a name or a figure; a message of fewer letters matches anything.
FEW_WORDS, SPECIFIC = 2, 8
LINK = re.compile(r"(?<!\\)\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is its fence's, ``mark`` is empty if it has none."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def where(self) -> str:
        """The page, relative to the repository, and the line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_manifest(self) -> bool:
        """Whether it holds whole objects of a cluster."""
        return self.language == "yaml" and "apiVersion:" in self.text

    @property
    def part_of(self) -> str | None:
        """The kind whose part it is, None if it is none."""
        return self.mark.removeprefix("part of: ") if self.mark.startswith("part of: ") else None

    @property
    def reason(self) -> str | None:
        """Why it is not run, None if it is run or only shown."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order, without indentation."""
    content = page.read_text("utf-8")
    found = []
    for each in BLOCK.finditer(content):
        line = content.count("\n", 0, each.start("indent")) + 1
        margin = re.compile(f"^{each['indent']}", re.MULTILINE)
        text = margin.sub("", each["text"])
        found.append(Block(page, line, each["language"], text, each["mark"] or ""))
    return found


def all_blocks() -> list[Block]:
    """Return the fenced blocks of all pages."""
    return [block for page in PAGES for block in blocks(page)]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return BLOCK.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    seen: Counter[str] = Counter()
    names = set()
    for heading in HEADING.findall(prose(page)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page)))


def summary() -> str:
    """Say how many blocks are run, and how many are not, by reason."""
    every = all_blocks()
    run = sum(block.mark.split(":")[0] == "run" for block in every)
    reasons = Counter(block.reason for block in every if block.reason)
    left = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    return f"{run} blocks of commands in the documentation are run; not run: {left or 'none'}"


def messages(packages: tuple[str, ...]) -> set[str]:
    """Return every string literal in packages, with ``…`` for each value filled in."""
    found: set[str] = set()
    for path in (path for package in packages for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.add("".join(_plain(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"%[sd]", "…", node.value))
    return {re.sub("…+", "…", message) for message in found}


def _plain(part: ast.expr) -> str:
    """The text of a string constant; ``…`` for any other expression."""
    return part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"


def quotes(page: Path) -> list[str]:
    """Return the code spans with spaces in the first cells of a page's tables."""
    cells = re.findall(r"^\| (.+?) \|", page.read_text("utf-8"), re.MULTILINE)
    return [code for cell in cells for code in re.findall(r"`([^`]+)`", cell) if " " in code]


def is_said(quote: str, said: set[str]) -> bool:
    """Whether a quote matches a message; a value in it may be another message."""
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
