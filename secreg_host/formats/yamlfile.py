"""YAML that others wrote (YAML 1.1): safe types only, of bounded depth and size once its aliases are expanded."""

from __future__ import annotations

import re
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
    try:
        _check(data, where)
        return yaml.load(data, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        last = max(1, len(data.splitlines()))
        line = min(error.problem_mark.line + 1, last) if error.problem_mark else 1
        said = re.split("['\"]", error.problem or "it can't be read")[0].strip()  # what it quotes may be a secret
        raise bad_input(
            f"{where}:{line}", f"not YAML: {said}", "indent with blanks, not tabs, and quote texts with : or # in them"
        ) from None
    except yaml.YAMLError:
        raise bad_input(
            where, "no text, or characters that YAML does not allow", "save the file as UTF-8 text"
        ) from None
    except BadInput:
        raise
    except Exception as error:  # a date or a number that there is none of, a key that can be none
        what = f"a date or number in it is impossible, or a key is a list ({type(error).__name__})"
        raise bad_input(where, what, "quote dates and long numbers, and write keys as plain words") from None


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
