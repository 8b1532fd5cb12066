"""What the modules of the program say, as their syntax trees tell it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "secreg_host"
OURS = PACKAGE.name
MODULES = sorted(
    str(path.relative_to(PACKAGE).with_suffix("")) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"
)
"""Every module, as `room/name`; those of the package itself as `name`."""


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


@functools.cache
def nodes(module: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(module)))


@functools.cache
def imports(module: str) -> tuple[tuple[str, str], ...]:
    """What `module` imports, inside functions too, with the dots of Python, and the name that it has there."""
    found = []
    package = (OURS, *module.split("/")[:-1])
    for node in nodes(module):
        if isinstance(node, ast.Import):
            found += [(one.name, one.asname or one.name.partition(".")[0]) for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            start = ".".join((*above, *filter(None, [node.module])))
            found += [(f"{start}.{one.name}", one.asname or one.name) for one in node.names]
    return tuple(found)


def importers(*names: str) -> set[str]:
    """Who imports one of the modules `names` (without dots), or something of one."""
    return {module for module in MODULES for name, _ in imports(module) if name.partition(".")[0] in names}


@functools.cache
def imported(module: str) -> frozenset[str]:
    """Modules of the package that `module` imports, or has the names of, for importlib."""
    names = {name for name, _ in imports(module)} | {text for _, text in texts(module) if isinstance(text, str)}
    ours = {tuple(name.split(".")[1:]) for name in names if name.startswith(f"{OURS}.")}
    return frozenset({"/".join(path[:end]) for path in ours for end in range(1, len(path) + 1)} & set(MODULES))


@functools.cache
def words(module: str) -> frozenset[str]:
    """The names that `module` may have from outside of the package, whatever it calls them: built-in ones, what is
    imported, and attributes of anything but the package's modules."""
    own = {name for path, name in imports(module) if path.startswith(f"{OURS}.")}
    found = {word for path, name in imports(module) if name not in own for word in path.split(".")}
    for node in nodes(module):
        if isinstance(node, ast.Name) and node.id not in own:
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in own):
            found.add(node.attr)
    return frozenset(found)


def who_says(pattern: str) -> dict[str, set[str]]:
    """Modules that have words which match `pattern`, and these."""
    found = {module: {word for word in words(module) if re.fullmatch(pattern, word)} for module in MODULES}
    return {module: said for module, said in found.items() if said}


def calls(module: str) -> Iterator[tuple[str, ast.Call]]:
    """The calls of `module`, each with the name of what is called, without what that is an attribute of."""
    for node in nodes(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id, node


def texts(module: str) -> Iterator[tuple[int, str | bytes]]:
    """Lines, and the texts and bytes that are written there, but for docstrings."""
    described = {id(node.value) for node in nodes(module) if isinstance(node, ast.Expr)}
    for node in nodes(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in described:
            yield node.lineno, node.value
