"""Imports go one way; what has an edge has one: one module for D-Bus, one for programs, one for paths."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "secreg_host"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))

LAYERS = [
    {"__init__", "ask", "errors", "paths", "journal", "helptext", "names", "quoting"},
    {"basicauth", "bugs", "distant", "directories", "notstarted"},
    {"patterns", "reading", "events", "temporary"},
    {"files", "process", "templating", "distro", "envfile", "handshake", "nginxmaster", "sources", "yamlfile"},
    {"users", "reserve", "opensslcnf", "nginxsyntax", "registryconf", "leftovers"},
    {"nginxconf", "climbing"},
    {"lastwords", "plainhttp", "htpasswd", "certs", "ports", "dockerinfo", "bypass", "passing", "serverblocks"}
    | {"onsockets", "unitlog"},
    {"probe"},
    {"settings", "issued", "beside"},
    {"exposure"},
    {"host"},
    {"processes", "records", "hooks", "registryprogram", "memory", "views", "imagesplace", "storeproof"},
    {"ours", "rendered", "retries"},
    {"parts"},
    {"defaults", "direct", "generations", "liveusers", "njs", "programs", "units", "services", "foreign", "owned"},
    {"authority", "assemble", "systemd", "served", "daemonjson", "dockerflags"},
    {"dockerd"},
    {"backend", "strangers", "provision", "docker", "trust_podman", "trust_containerd", "trust_k3s", "trust_system"},
    {"faults", "report", "rehearsal", "foreground", "trust", "trustcheck", "unitservices"},
    {"activate", "watch", "upgrades", "usersfirst"},
    {"choice", "interim"},
    {"apply", "status", "trustverb"},
    {"instance"},
    {"removal"},
    {"verbs"},
    {"cli"},
    {"ready"},
    {"entry"},
    {"__main__"},
]
"""Each module may import from layers above its own line only, at its top level."""


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imported(module: str) -> set[str]:
    """Modules of the package that `module` imports when it is loaded."""
    found = set()
    for node in tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module == "secreg_host":
            found |= {alias.name for alias in node.names if (PACKAGE / f"{alias.name}.py").exists()}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("secreg_host."):
            found.add((node.module or "").partition(".")[2])
    return found


def level(module: str) -> int | None:
    return next((number for number, layer in enumerate(LAYERS) if module in layer), None)


@pytest.mark.parametrize("module", [name for name in MODULES if level(name) is not None])
def test_imports_go_one_way(module: str) -> None:
    own = level(module)
    assert own is not None
    for other in imported(module):
        its = level(other)
        assert its is not None and its < own, f"{module} imports {other}"


def importers(name: str) -> set[str]:
    found = set()
    for module in MODULES:
        for node in ast.walk(tree(module)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
            if any(item.partition(".")[0] == name for item in names):
                found.add(module)
    return found


def test_edges_have_one_owner() -> None:
    assert importers("pydbus") == {"systemd"}
    assert importers("subprocess") <= {"process", "foreground", "rehearsal"}
    assert importers("jinja2") == {"templating"}
    assert importers("yaml") == {"yamlfile"}
    assert importers("passlib") == {"users"}


OPENS = {"read_bytes", "read_text", "open"}
KERNEL = {"distro", "host", "instance", "nginxmaster", "ports", "process", "ready", "settings", "views"}
"""Read /proc, /sys and os-release, and nothing else."""

PLACES = {"directories", "probe"}
"""Open directories, and sockets as places, and read nothing."""

ROOTS = {"liveusers", "reserve"}
"""Open files that only root can have put there."""


def test_one_module_opens_what_others_wrote() -> None:
    found = set()
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                found |= {module} if name in OPENS else set()
    # locks of ours, and what was left of such; the table of mounts; a program's first bytes
    assert found - KERNEL - PLACES - ROOTS == {"reading", "files", "temporary", "distant", "processes"}


def test_nobody_ends_the_process_but_the_entry() -> None:
    for module in MODULES:
        text = (PACKAGE / f"{module}.py").read_text()
        assert "sys.exit" not in text or module == "__main__", module
