"""Which logs of nginx.conf a server block has that our own one must not take from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.formats import serverblocks
from secreg_host.wanted import variants

HTTP = "access_log /var/log/a combined if=$secreg_logged;\n    access_log /var/log/b;"
COMMON = (("/var/log/a", "combined", "if=$secreg_logged"), ("/var/log/b",))


def logs(http: str, server: str) -> tuple[tuple[str, ...], ...]:
    text = (
        f"http {{\n    {http}\n    server {{\n        {server}\n        include {serverblocks.REGISTRY};\n    }}\n}}\n"
    )
    lines = serverblocks.walked(Path("/etc/x"), lambda path: text.encode() if path.name == "nginx.conf" else None)
    [(_, found)] = variants.each(lines)
    return found.logs


@pytest.mark.promise("who-did-what")
@pytest.mark.parametrize(
    ("http", "server", "found"),
    [
        (HTTP, "", COMMON),
        (HTTP, "access_log /var/log/c;", ()),
        (HTTP, "location / { access_log /var/log/c; }", COMMON),
        (HTTP, "access_log off;", ()),
        ("access_log off;", "", ()),
        ("", "", ()),
    ],
)
def test_a_block_keeps_the_logs_of_all_servers(http: str, server: str, found: tuple[object, ...]) -> None:
    assert logs(http, server) == found


@pytest.mark.parametrize(
    ("server", "count"),
    [("access_log off;", 1), ("access_log /dev/null;", 0), ("location /x { access_log off; }", 0), ("", 0)],
)
def test_what_turns_our_log_off_is_told(server: str, count: int) -> None:
    other = "server { access_log off; } server { include secure-registry/registry.conf; }"
    text = f"http {{\n access_log off;\n server {{\n {server}\n include {serverblocks.REGISTRY};\n }}\n {other} }}\n"
    lines = serverblocks.walked(Path("/etc/x"), lambda path: text.encode() if path.name == "nginx.conf" else None)
    found = [*variants.unlogged(lines)]
    assert [one.where for one in found] == ["/etc/x/nginx.conf:4"] * count
