"""`auth_basic` where the registry answers: a client sends one password."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.formats import serverblocks
from secreg_host.wanted import askedtwice

OURS = "include secure-registry/registry.conf;"
MINE = "auth_basic mine;"


@pytest.mark.parametrize(
    ("http", "line"),
    [
        (f"server {{\n{OURS}\n{MINE}\n}}", 4),
        (f"{MINE}\nserver {{\n{OURS}\n}}", 2),
        (f"server {{\n{OURS}\n}}\n{MINE}\nserver {{ }}", 5),
        (f"{MINE}\nserver {{\n{OURS} auth_basic off;\n}}", 0),
        (f"{MINE}\nserver {{ }}", 0),
        (f"server {{ {MINE} }} server {{ {OURS} }}", 0),
        (f"server {{ {OURS} location /pages/ {{ {MINE} }} }}", 0),
        (f"server {{ {OURS} auth_basic $realm; }}", 0),
        (f"auth_basic off; server {{ {OURS} }}", 0),
    ],
)
def test_which_line_counts(http: str, line: int) -> None:
    etc = Path("/etc/secure-registry")
    lines = serverblocks.walked(
        etc, lambda path: f"http {{\n{http}\n}}\n".encode() if path.name == "nginx.conf" else None
    )
    assert [one.where for one in askedtwice.problems(lines)] == ([f"{etc}/nginx.conf:{line}"] if line else [])
