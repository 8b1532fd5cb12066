"""Which lines of nginx.conf are refused, however they are written; what is served is asked by tests/real."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.apply import asking, probe
from secreg_host.base.errors import BadInput, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import nginxconf, nginxsyntax, serverblocks
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import NAMELESS, UNKNOWN_NAME, Door
from secreg_host.wanted import bypass, passing
from secreg_host.wanted.parts import nginx

DIRECTORIES = [Path("/run/secure-registry"), Path("/var/lib/secure-registry"), Path("/srv/images")]
PRIVATE = bypass.Private.of(DIRECTORIES, Path("/dev/shm/secure-registry-"))


def found(text: str) -> list[str]:
    return [f"{each.where}: {each.what}" for each in bypass.problems(nginxsyntax.parse(text, "f"), "f", PRIVATE)]


@pytest.mark.promise("no-line-leads-past")
@pytest.mark.parametrize(
    "text",
    [
        "proxy_pass http://secreg_registryx;",
        "proxy_pass http://secreg_registry$x;",
        "proxy_pass 'http://unix:/run/secure-registry/registry-a/registry.sock';",
        'proxy_pass "http://unix:/run//secure-registry/x";',
        "proxy_pass http://unix:/srv/../run/secure-registry/x;",
        "proxy_pass http://$host;",
        "proxy_pass ${scheme}://a${b}c/;",
        "grpc_pass grpc://$x;",
        "upstream u { server unix:/run/secure-registry/a; }",
        "try_files /x @secreg_anything;",
        "set $x @SECREG_x;",
        "return 200 ${secreg_answer};",
        "error_page 404 /_secreg/x;",
        "access_log /run/secure-registry/front/x;",
        "access_log /var/log/x if=$secreg_checked;",
        "access_log /var/log/x secreg_failed;",
        "access_log /var/log/$secreg_logged;",
        "set $x $secreg_logged;",
        "access_log syslog:server=unix:/run/secure-registry/x;",
        "proxy_cache_path /dev/shm/secure-registry-0-abc keys_zone=a:1m;",
        "include /var/lib/secure-registry/current/front/secure-registry/registry.conf;",
        "include secure-registry/client.conf;",
        "js_import x from secure-registry/manifest.js;",
        "root /;",
        "root /srv;",
        "root /srv/images/x;",
        "root '/var/lib';",
        "root $x;",
        "root /$x;",
        "root ..;",
        "root /proc/1/root;",
        "location /f { alias /srv/www/../; }",
        "location /f { alias /srv/i; }",
        "location /f { alias /run/x/; }",
        "location ~ /f(.*) { alias /srv/im$1; }",
        "location ~ ^/f(.*)$ { alias /srv/www/$1; }",
        "location ~ ^/f(..)(.*)$ { alias /srv/www/a/$1/$2; }",
        "root /var/www/$arg_x;",
        "rewrite ^/f(.*)$ /$1 break;",
        "proxy_ignore_headers Vary x-accel-EXPIRES;",
        "location / { proxy_store on; proxy_pass http://secreg_registry; }",
        "location /a { server_name ${; proxy_pass http://unix:/run/secure-registry/x; }",
        "location /a\u00a0#{ proxy_pass http://unix:/run/secure-registry/x;\n }",
    ],
)
def test_refused_with_its_line(text: str) -> None:
    said = found(f"http {{\n{text}\n}}")
    assert said and all(each.startswith("f:2: ") for each in said), said


@pytest.mark.parametrize(
    "text",
    [
        "proxy_pass http://secreg_registry;",
        "proxy_pass http://secreg_registry/v2/;",
        "proxy_pass http://127.0.0.1:8080$request_uri;",
        "proxy_pass $scheme://backend/x$is_args$args;",
        "proxy_pass http://backend$uri$is_args$args;",
        "fastcgi_pass unix:/run/php/fpm.sock;",
        "server_name secreg.example.org my-secreg.example;",
        "include my_secreg.conf;",
        "include secure-registry/http.conf;",
        "root /srv/www;",
        "root /home/www/$host;",
        "root html;",
        "location /f/ { alias /srv/www/; }",
        "location = /f { alias /srv/www/f; }",
        "location ~ ^/f/(.*)$ { alias /srv/www/$1; }",
        "location ~ ^/f(.*)$ { alias /opt/www/$1; }",
        "location ~ ^/f(.*)$ { alias /srv/www$1; }",
        "access_log /var/log/secure-registry/access.log;",
        "access_log /var/log/secure-registry/access.log combined if=$secreg_logged;",
        "access_log /var/log/secure-registry/access.json secreg_json if=$secreg_logged;",
        "error_log /dev/stderr;",
        "return 301 https://$host$request_uri;",
        "location /run/secure-registry/ { return 404; }",
        "proxy_store off;",
    ],
)
def test_what_is_the_administrators_own_stays(text: str) -> None:
    assert found(f"http {{\n{text}\n}}") == []


def test_links_are_no_way_around(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "images")
    private = bypass.Private.of([tmp_path / "images"], Path("/dev/shm/secure-registry-"))
    for text in (f"root {tmp_path}/link;", f"proxy_pass http://unix:{tmp_path}/link/sock;"):
        assert [*bypass.problems(nginxsyntax.parse(text, "f"), "f", private)], text


CONF = """include secure-registry/main.conf;
http {
 include secure-registry/http.conf;
 proxy_set_header X-One 1;
 server {
  listen 443 ssl;
  include secure-registry/registry.conf;
  location /a/ { proxy_pass http://secreg_registry; include /etc/more; }
  location /b/ { proxy_set_header X-Two 2; proxy_set_header X-Three 3; proxy_pass http://elsewhere; }
 }
}
"""


class Rules(nginxconf.Rules):
    additions = staticmethod(passing.additions)  # type: ignore[assignment]

    def problems(self, directives: object, where: str) -> list[bypass.Problem]:
        return [*bypass.problems(directives, where, PRIVATE)]  # type: ignore[arg-type]


def bundle(text: str, **more: str) -> nginxconf.Bundle:
    files = {Path(f"/etc/{name}"): data.encode() for name, data in more.items()}
    return nginxconf.bundle(Path("/etc/secure-registry/nginx.conf"), text.encode(), files.get, Rules())


def test_the_staged_copy_streams_and_tells_who_asks_where_headers_are_set() -> None:
    text = bundle(CONF, more="proxy_read_timeout 1s; proxy_set_header X-Four 4;").files["nginx.conf"].decode()
    assert len(text.splitlines()) == len(CONF.splitlines())
    lines = text.splitlines()
    assert lines[3] == " proxy_set_header X-One 1;", "http { } has it from http.conf"
    client = "include secure-registry/client.conf;"
    assert lines[8].count(client) == 1 and f"X-Two 2; {client} proxy" in lines[8]
    assert lines[7].count(client) == 1 and lines[7].count("proxy_request_buffering off;") == 1
    assert "proxy_read_timeout" not in lines[7], "the file that is included has it"
    assert "proxy_request_buffering" not in lines[8]


def test_a_file_elsewhere_is_judged_too() -> None:
    for bad in ("x;\nproxy_pass http://$a;", "x;\nlocation {"):
        with pytest.raises(BadInput) as caught:
            bundle(CONF, more=bad)
        assert caught.value.problems[0].where == "/etc/more:2"


def test_every_server_block_has_a_door() -> None:
    servers = """
    server { listen 443 ssl; listen [::]:443 ssl; server_name a.example b.example;
        include secure-registry/registry.conf; }
    server { listen 443; server_name a.example *.c.example; include /etc/more; }
    server { listen 80; server_name _ ~^d(?<n>[0-9]+)\\.example$; return 301 https://$host$request_uri; }
    """
    files = {
        Path("/e/nginx.conf"): f"events {{}} http {{ {servers} }}".encode(),
        Path("/etc/more"): b"listen 8443 ssl; server_name e.example;",
    }
    blocks = serverblocks.of(serverblocks.walked(Path("/e"), files.get))
    one, six, other, plain = Listen("", 443), Listen("::", 443), Listen("", 8443), Listen("", 80, tls=False)
    assert serverblocks.answering(blocks) == (one, six)
    doors = set(serverblocks.doors(blocks))
    assert doors == {
        *(Door(listen, name) for listen in (one, six, other, plain) for name in (UNKNOWN_NAME, NAMELESS)),
        Door(one, "a.example"), Door(six, "a.example"), Door(one, "any.c.example"), Door(other, "a.example"),
        Door(plain, "_"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("server { listen 443 ssl; }", False),
        ("server { ssl_verify_client off; if ($x) { set $y 1; } location / { return 404; } }", False),
        ("server { ssl_verify_client optional; }", True),
        ("server { } ssl_verify_client on; server { }", True),
        ("server { location /v2/ { deny all; } }", True),
        ("include /etc/more; server { }", True),
        ("server { if ($geo) { return 403; } }", True),
    ],
)
def test_what_may_keep_this_host_out(text: str, closed: bool) -> None:
    files = {Path("/e/nginx.conf"): f"http {{ {text} }}".encode(), Path("/etc/more"): b"deny all;"}
    assert any(block.closed for block in serverblocks.of(serverblocks.walked(Path("/e"), files.get))) is closed


@pytest.mark.parametrize(
    ("text", "limited"),
    [
        ("limit_req_zone $x zone=a:1m rate=1r/s; server { REGISTRY }", False),
        ("limit_req zone=a; server { REGISTRY }", True),
        ("server { REGISTRY } limit_conn a 1;", True),
        ("server { REGISTRY limit_conn a 1; }", True),
        ("server { REGISTRY location / { limit_req zone=a; } }", True),
        ("server { REGISTRY } include /etc/more;", True),
        ("server { REGISTRY } server { listen 80; limit_req zone=a; }", False),
        ("server { listen 443 ssl; location / { limit_req zone=a; } } include secure-registry/registry.conf;", True),
    ],
)
def test_where_this_host_is_limited_as_any_client(tmp_path: Path, text: str, limited: bool) -> None:
    """Seen: our own requests were too many, and the password check was told to be away."""
    paths = Paths(tmp_path)
    paths.etc.mkdir(parents=True)
    (tmp_path / "more").write_text("limit_req zone=a;")
    text = text.replace("REGISTRY", "listen 443 ssl; include secure-registry/registry.conf;")
    text = f"include secure-registry/http.conf; {text.replace('/etc/more', str(tmp_path / 'more'))}"
    paths.nginx_conf.write_text(f"include secure-registry/main.conf; http {{ {text} }}")
    part = nginx.read(Snapshot(paths)).part
    assert part is not None and part.limited is limited and not part.closed


def test_names_where_others_have_the_same_address() -> None:
    """A server that catches all others: the registry is asked for by a name of its own."""
    include = "include secure-registry/registry.conf;"
    text = f"""http {{
        server {{ listen 443 ssl default_server; return 444; }}
        server {{ listen 443 ssl; listen 8443 ssl; server_name *.a.example b.example; {include} }}
    }}"""
    blocks = serverblocks.of(serverblocks.walked(Path("/e"), {Path("/e/nginx.conf"): text.encode()}.get))
    assert serverblocks.called(blocks) == tuple(Door(Listen("", 443), name) for name in ("any.a.example", "b.example"))


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("a.example", "a.example"),
        (".a.example", "a.example"),
        ("*.a.example", "any.a.example"),
        ("a.*", "a.example"),
        (r"~^(www\.)?(?<name>.+)\.example\.org$", "www.a.example.org"),
        (r"~^d\d+x[a-f]+\.example$", "d1xa.example"),
        (r"~^x{3}$", ""),
        ("~(", ""),
        ("", ""),
        ("$hostname", ""),
    ],
)
def test_a_name_that_hits_a_server(name: str, asked: str) -> None:
    assert serverblocks.example(name) == asked


@given(st.text())
def test_any_name_is_asked_or_left_out(name: str) -> None:
    assert all(32 < ord(letter) < 127 for letter in serverblocks.example(name))


@given(st.text(alphabet="secrg_yi@$/{}.:htpunx \\\"';#~\n", max_size=60))
def test_any_text_is_judged(text: str) -> None:
    try:
        directives = nginxsyntax.parse(text, "f")
    except BadInput:
        return
    assert all(each.where.startswith("f:") for each in bypass.problems(directives, "f", PRIVATE))


def test_an_open_answer_ends_the_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first look, however long it may be looked."""
    looks: list[str] = []

    def once(want: probe.Expectation) -> str:
        assert not looks, "it looked again"
        looks.append(want.answer_path)
        return probe.Open("/v2/ is answered without a password (HTTP 200)")

    monkeypatch.setattr(probe, "once", once)
    want = probe.Expectation(Listen("", 443), "/x", None, "localhost")
    said = probe.prove((want, want), (), 3600.0, lambda: "")
    assert (said, looks) == ("127.0.0.1:443: /v2/ is answered without a password (HTTP 200)", ["/x"])


@pytest.mark.parametrize(
    ("answer", "is_open"),
    [
        (b"HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 2\r\n\r\n{}", True),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n{"repositories":[]}', True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 401 x\r\nDocker-Distribution-Api-Version: registry/2.0\r\nContent-Length: 0\r\n\r\n", False),
        (b"garbage", False),
    ],
)
def test_what_is_an_open_door(answer: bytes, is_open: bool) -> None:
    """The registry's answers, not pages of the administrator's own."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):  # nobody asks any more
                for _ in probe.GUARDED:
                    link = server.accept()[0]
                    link.recv(4096)
                    link.sendall(answer)
                    link.close()

        threading.Thread(target=serve, daemon=True).start()
        door = Door(Listen("127.0.0.1", server.getsockname()[1], tls=False), "x.example")
        assert bool(probe.find_open([door], lambda _: asking.connect_tcp)) is is_open


def test_a_place_that_does_not_answer_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is a link to is asked as every file is: by a fork that is left behind."""
    asked = []

    def silent(path: object, work: object) -> object:
        asked.append(path)
        raise bad_input(str(path), "does not answer", "")

    monkeypatch.setattr(bypass.distant, "ask", silent)
    assert bypass.Private.of(DIRECTORIES, Path("/x")).holds("/srv/images/a")
    assert found("access_log /mnt/dead/log;") == [] and found("access_log /srv/images/log;") != []
    assert "/mnt/dead/log" in asked
