"""Read typed YAML and JSON: one error names every mistake with its line and field."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from storage_init.base.errors import WarmstartError

if TYPE_CHECKING:
    from pathlib import Path

    import yaml

_T = TypeVar("_T", bound=msgspec.Struct)

_Path = tuple["str | int", ...]

# msgspec ends a message with the place in the data.
_WHERE = re.compile(r" - at `\$(?P<path>.*)`$")
_PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$")
# A type's own check begins its message with the name of the field.
_OWN_CHECK = re.compile(r"^([a-z_]+): ")
# msgspec's words in the words of YAML.
_WORDS = {"object": "mapping", "array": "list", "`": ""}


class RecipeError(WarmstartError):
    """A recipe cannot be read, or asks for something that does not exist."""


@dataclass(frozen=True)
class _Mistake:
    """``path`` leads from the whole to the wrong value."""

    path: _Path
    what: str

    def text(self) -> str:
        field = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)[1:]
        return f"{field}: {self.what}" if field else self.what


def read_text(path: Path, what: str, kind: type[WarmstartError] = RecipeError) -> str:
    """Read a file that a person wrote, with or without a byte order mark.

    Raises:
        WarmstartError: of this kind; the file cannot be read.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise kind(f"{what} {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise kind(f"{what} {path} is not UTF-8: {error}") from error


def from_json(text: str, kind: type[_T], where: str = "recipe") -> _T:
    """Decode JSON; fields that are left out have their defaults.

    Raises:
        RecipeError: it is not JSON, or has fields that are wrong.
    """
    try:
        data = msgspec.json.decode(text)
    except msgspec.MsgspecError as error:
        raise RecipeError(f"{where}: {error}") from error
    decoded, mistakes = _convert(data, kind)
    if mistakes:
        raise RecipeError("\n".join(f"{where}: {mistake.text()}" for mistake in mistakes))
    return decoded


def from_yaml(text: str, where: str, kind: type[_T]) -> _T:
    """Decode YAML; fields that are left out have their defaults, and so has an empty text.

    Raises:
        RecipeError: one line for every mistake; each begins with ``where`` and the line number.
    """
    # Imported late because most preparations have no recipe to read.
    import yaml

    try:
        root = yaml.compose(text, yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise RecipeError(f"{where}{line}: {error.problem or error.context}") from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise RecipeError(f"{where}: {' '.join(str(error).split())}") from error
    if root is None or data is None:
        return kind()
    _check_keys(root, where)
    decoded, mistakes = _convert(data, kind)
    if mistakes:
        lines = sorted((_line(root, mistake.path), mistake.text()) for mistake in mistakes)
        raise RecipeError("\n".join(f"{where}:{line}: {what}" for line, what in lines))
    return decoded


def _check_keys(node: Any, where: str) -> None:
    """Refuse duplicate keys, which YAML forbids and PyYAML accepts, and keys that are no text."""
    if node.id == "sequence":
        for item in node.value:
            _check_keys(item, where)
    elif node.id == "mapping":
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag != "tag:yaml.org,2002:str":
                raise RecipeError(f"{where}:{line}: {key.value} is no field's name")
            if key.value in seen:
                raise RecipeError(
                    f"{where}:{line}: {key.value}: is on line {seen[key.value]} already"
                )
            seen[key.value] = line
            _check_keys(value, where)


def _line(root: yaml.Node, path: _Path) -> int:
    """The line of the value at ``path``, or of the nearest part of the path that exists."""
    node, mark = root, root.start_mark
    for part in path:
        if isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
            continue
        found = next(((k, v) for k, v in node.value if k.value == part), None)
        if found is None:  # a type's own check can name a field that the file leaves out
            break
        mark, node = found[0].start_mark, found[1]
    return int(mark.line) + 1


def _convert(data: Any, kind: type[_T]) -> tuple[_T, list[_Mistake]]:
    """``data`` as a ``kind``, and the mistakes in it.

    msgspec stops at the first mistake: take the wrong value out and try the rest again.
    """
    mistakes: list[_Mistake] = []
    while isinstance(tried := _try(data, kind), _Mistake):
        mistakes.append(tried)
        data = _without(data, tried.path)
    return tried, mistakes


def _try(data: Any, kind: type[_T]) -> _T | _Mistake:
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        return _mistake(str(error), data, kind)


def _mistake(message: str, data: Any, kind: type[msgspec.Struct]) -> _Mistake:
    path: _Path = ()
    if where := _WHERE.search(message):
        message = message[: where.start()]
        parts = _PART.findall(where["path"])
        path = tuple(int(index) if index else name for name, index in parts)
    if unknown := _UNKNOWN.match(message):
        known = [field.encode_name for field in msgspec.structs.fields(_type_at(kind, path))]
        near = difflib.get_close_matches(unknown[1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        return _Mistake((*path, unknown[1]), f"unknown field; {hint}")
    if own := _OWN_CHECK.match(message):
        return _Mistake((*path, own[1]), message[own.end() :])
    what = f"{message[:1].lower()}{message[1:]}"
    for word, instead in _WORDS.items():
        what = what.replace(word, instead)
    value, expected = data, _type_at(kind, path)
    for part in path:
        value = value[part]
    if value is not None and get_origin(expected) is Literal:
        what = f"{value!r} is not one of {', '.join(map(str, get_args(expected)))}"
    elif isinstance(value, str) and _is_number(value):
        what += f" ({value}: write it without quotes, and with a dot if it has an exponent)"
    return _Mistake(path, what)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _without(data: Any, path: _Path) -> Any:
    """A copy of nested mappings without one value.

    A list is left out as a whole, so that the indexes in other paths stay valid.
    """
    if not path:
        return {}
    part, rest = path[0], path[1:]
    copy = {key: value for key, value in data.items() if key != part}
    if rest and isinstance(rest[0], str):
        copy[part] = _without(data[part], rest)
    return copy


def _type_at(kind: Any, path: _Path) -> Any:
    """The type of the value at ``path``, without its constraints and None."""
    for part in path:
        if isinstance(part, int):
            kind = plain(get_args(kind)[0])
        else:
            fields = msgspec.structs.fields(kind)
            kind = plain(next(field.type for field in fields if field.encode_name == part))
    return kind


def plain(kind: Any) -> Any:
    """A type without its constraints and without None."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        kind = plain(next(arg for arg in get_args(kind) if arg is not type(None)))
    return kind
