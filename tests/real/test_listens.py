"""Servers of the administrator's in other files than nginx.conf: live, and in no later change's way."""

from __future__ import annotations

import http.client
import shutil
import socket
from contextlib import closing

import pytest

from tests.real.program import Instance, free_port


def asked(port: int, family: socket.AddressFamily = socket.AF_INET) -> int:
    host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    with closing(http.client.HTTPConnection(host, port, timeout=10)) as link:
        link.request("GET", "/")
        return link.getresponse().status


def server(listens: str, status: int) -> str:
    return f"server {{ {listens} return {status}; }}\n"


def test_servers_in_any_file_hold_back_no_later_change(serving: Instance) -> None:
    """A name without .conf, a nested include, absolute paths elsewhere; a unix socket; IPv6."""
    ports = [free_port() for _ in range(4)]
    elsewhere, socket_path = serving.root / "elsewhere", serving.root / "of-mine.sock"
    (elsewhere / "snippets").mkdir(parents=True)
    (elsewhere / "pages.conf").write_text(
        server(f"include {elsewhere}/snippets/listen;", 402) + server(f"listen unix:{socket_path};", 410)
    )
    (elsewhere / "snippets/listen").write_text(f"listen {ports[1]};")
    (serving.etc / "sites-enabled").mkdir()
    serving.write("sites-enabled/redirect.example.org", server("include sites-enabled/deep/one;", 404))
    (serving.etc / "sites-enabled/deep").mkdir()
    serving.write("sites-enabled/deep/one", f"listen *:{ports[0]} backlog=99; listen [::1]:{ports[2]} ipv6only=on;")
    serving.edit("nginx.conf", "http {", f"http {{ include sites-enabled/*example*; include {elsewhere}/*.conf;\n")
    assert "rejected" not in serving.reload()

    def served() -> None:
        assert (asked(ports[0]), asked(ports[1]), asked(ports[2], socket.AF_INET6)) == (404, 402, 404)
        assert socket_path.is_socket()

    served()
    before = serving.served_fingerprint()
    for later in range(2):
        serving.edit("nginx.conf", "keepalive_timeout", f"# {later}\n    keepalive_timeout")
        assert "rejected" not in serving.reload()
        served()
    assert serving.run("gencert").returncode == 0
    serving.wait_for("the certificate", lambda: serving.served_fingerprint() != before)
    # one more address, in a file elsewhere: asked for, and rejected if somebody else has it
    with socket.create_server(("127.0.0.1", ports[3])):
        (elsewhere / "snippets/listen").write_text(f"listen {ports[1]}; listen 127.0.0.1:{ports[3]};")
        assert f"port {ports[3]} (127.0.0.1:{ports[3]}) is used by" in serving.reload()
        served()
    shutil.rmtree(serving.etc / "sites-enabled")


@pytest.mark.promise("open-doors-are-rejected")
def test_a_server_elsewhere_that_answers_without_a_password_is_found(serving: Instance) -> None:
    """By a location of the administrator's that fakes an open registry: any server block is asked."""
    port, page = free_port(), serving.root / "open.conf"
    location = "location /v2/ { default_type application/json; return 200 '{\"repositories\": []}'; }"
    page.write_text(f"server {{ listen {port}; {location} }}")
    serving.edit("nginx.conf", "http {", f"http {{ include {page};\n")
    assert "is answered without a password" in serving.reload()
    assert serving.ask("/v2/").status == 401
