"""YAML that others wrote (YAML 1.1): safe types only, of bounded depth and size once its aliases are expanded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from secreg_host.base.errors import BadInput, bad_input

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEPTH, NODES = 50, 50_000
"""How deep lists and mappings may be nested, and how many values there may be when each alias counts as what it stands
for: a few lines of aliases can stand for more than any memory holds."""


def load(data: bytes, where: str) -> Any:
    """The document in `data`, None if it is empty. Raises BadInput with `file:line` if it is not YAML, or too much; it
    quotes nothing of it."""
    with _told(data, where):
        _check(data, where)
        return yaml.load(data, Loader=LOADER)


@dataclass(frozen=True)
class Lined:
    """A value that knows its line, from 1. text: of a string (None: it is none); items: of a list; pairs: keys and
    values of a mapping, as they stand, keys that stand again too; other: it is something else, such as a number."""

    line: int
    text: str | None = None
    items: tuple[Lined, ...] | None = None
    pairs: tuple[tuple[Lined, Lined], ...] | None = None
    other: bool = False

    @property
    def nothing(self) -> bool:
        """Whether it is null, as what was left out is."""
        return not self.other and (self.text, self.items, self.pairs) == (None, None, None)


def lined(data: bytes, where: str) -> Lined | None:
    """The same as `load`, with lines: for who says the line of each mistake."""
    with _told(data, where):
        _check(data, where)
        node = yaml.compose(data, Loader=LOADER)
        return None if node is None else _lined(node)


def _lined(node: yaml.Node) -> Lined:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return Lined(line, pairs=tuple((_lined(key), _lined(value)) for key, value in node.value))
    if isinstance(node, yaml.SequenceNode):
        return Lined(line, items=tuple(map(_lined, node.value)))
    if node.tag == "tag:yaml.org,2002:str":
        return Lined(line, text=node.value)
    return Lined(line, other=node.tag != "tag:yaml.org,2002:null")


@contextlib.contextmanager
def _told(data: bytes, where: str) -> Iterator[None]:
    """Whatever the library raises as BadInput."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        last = max(1, len(data.splitlines()))
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        said = re.split("['\"]", error.problem or "it can't be read")[0].strip()  # what it quotes may be a secret
        raise bad_input(
            f"{where}:{line}", f"not YAML: {said}", "indent with blanks, not tabs, and quote texts with : or # in them"
        ) from None
    except yaml.YAMLError as error:
        line = data.count(b"\n", 0, getattr(error, "position", 0)) + 1
        what = "no text, or characters that YAML does not allow"
        raise bad_input(f"{where}:{line}", what, "save the file as UTF-8 text") from None
    except BadInput:
        raise
    except Exception as error:
        what = f"there is no such date or number ({type(error).__name__})"
        raise bad_input(f"{where}:{_impossible(data)}", what, "quote dates and long numbers") from None


def line_of(data: bytes, *path: str) -> int:
    """The line (from 1) of the key at the end of `path`, such as "http", "addr", in the document that `data` is; where
    there is none, of the last key on the way to it; 0: there is none of them, or it is no YAML."""
    line, node = 0, None
    with contextlib.suppress(yaml.YAMLError):
        node = yaml.compose(data, Loader=LOADER)
    for name in path:
        found = [pair for pair in node.value if pair[0].value == name] if isinstance(node, yaml.MappingNode) else []
        if not found:
            break
        key, node = found[-1]  # the one that counts
        line = key.start_mark.line + 1
    return line


def _impossible(data: bytes) -> int:
    """The line of the first value in `data` that there is none of, such as the date 2024-13-45; else 1."""
    loader = LOADER(data)
    nodes: list[Any] = [loader.get_single_node()]
    while nodes:
        node = nodes.pop()
        if not isinstance(node, yaml.ScalarNode):
            inner = [pair for both in node.value for pair in both] if isinstance(node, yaml.MappingNode) else node.value
            nodes += reversed(inner)
            continue
        try:
            loader.construct_object(node)
        except yaml.YAMLError:
            continue  # no value of its own, such as <<
        except Exception:
            return int(node.start_mark.line) + 1
    return 1


def _check(data: bytes, where: str) -> None:
    """Raise BadInput for what is too much, before anything is built of it."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []  # the anchor of each list or mapping around, and the size before it
    size = 0
    for event in yaml.parse(data, Loader=LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, size))
            size += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = size - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise bad_input(
                    f"{where}:{line}",
                    "the alias (*) stands for the list or mapping that it is in",
                    "write out what it should be",
                )
            size += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.ScalarEvent):
            size += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if size > NODES or len(opened) > DEPTH:
            what = f"more than {NODES} values, or nested deeper than {DEPTH} levels"
            raise bad_input(f"{where}:{line}", what, "see whether it is the right file; write out less by aliases (*)")
