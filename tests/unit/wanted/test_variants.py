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
