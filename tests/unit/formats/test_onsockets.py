"""A rehearsal binds no address of its own, in whatever file nginx reads that it is to."""

from __future__ import annotations

from pathlib import Path

from secreg_host.formats import serverblocks
from secreg_host.formats.listening import UNSAID, Listen
from secreg_host.formats.onsockets import on_sockets

R = Path("/r")


def moved(tmp_path: Path, files: dict[str, str], outside: dict[str, str]) -> tuple[dict[str, str], dict[Path, Listen]]:
    """`files` of /etc and others in `outside`, by name; OUTSIDE in any of them is the directory of these."""
    etc, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    for base, some in ((etc, files), (elsewhere, outside)):
        for name, text in some.items():
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            (base / name).write_text(text.replace("OUTSIDE", str(elsewhere)))
    staged = {name: (etc / name).read_bytes() for name in files}
    copies, sockets = on_sockets(staged, etc, R, lambda path: path.read_bytes() if path.exists() else None)
    return {name: data.decode() for name, data in copies.items()}, sockets


def test_the_same_address_is_the_same_socket(tmp_path: Path) -> None:
    text = "http { server { listen 443 ssl; listen [::]:443 ssl ipv6only=on; }\nserver { listen *:443 ssl; } }"
    copies, sockets = moved(tmp_path, {"nginx.conf": text}, {})
    assert copies["nginx.conf"] == (
        "http { server { listen unix:/r/0.sock ssl; listen unix:/r/1.sock ssl; }\n"
        "server { listen unix:/r/0.sock ssl; } }"
    )
    assert sockets == {R / "0.sock": Listen("", 443), R / "1.sock": Listen("::", 443)}


def test_nobody_is_limited_there(tmp_path: Path) -> None:
    """All clients are one there: what is beyond a limit would not be seen to be open."""
    text = "http { limit_req_zone $x zone=a:1m rate=1r/s; limit_req zone=a; server { listen 80; include more; } }"
    copies, _ = moved(tmp_path, {"nginx.conf": text, "more": "location / { limit_conn a 1; return 200; }"}, {})
    assert copies["nginx.conf"] == (
        "http { limit_req_zone $x zone=a:1m rate=1r/s;  server { listen unix:/r/0.sock; include more; } }"
    )
    assert copies["more"] == "location / {  return 200; }"


def test_whatever_file_it_stands_in(tmp_path: Path) -> None:
    copies, sockets = moved(
        tmp_path,
        {
            "nginx.conf": "http { include sites-enabled/*; include OUTSIDE/*.conf; include /nowhere/*; }",
            "sites-enabled/redirect.example.org": "server { listen 80 backlog=9; include deep/listens; }",
            "deep/listens": "listen [::]:80 ipv6only=on;",
        },
        {"a.conf": "server { include OUTSIDE/snippets/one; }", "snippets/one": "listen 192.0.2.1:81;\ngzip on;"},
    )
    assert copies["nginx.conf"] == "http { include sites-enabled/*; include secure-registry/outside/0.conf;  }"
    assert copies["sites-enabled/redirect.example.org"] == "server { listen unix:/r/0.sock; include deep/listens; }"
    assert copies["deep/listens"] == "listen unix:/r/1.sock;"
    assert copies["secure-registry/outside/0.conf"] == "server { include secure-registry/outside/1.conf; }"
    assert copies["secure-registry/outside/1.conf"] == "listen unix:/r/2.sock;\ngzip on;"
    assert [(listen.host, listen.port) for listen in sockets.values()] == [("", 80), ("::", 80), ("192.0.2.1", 81)]


def test_datagrams_and_unix_sockets_have_sockets_that_are_no_tcp_address(tmp_path: Path) -> None:
    text = (
        "stream { server { listen 53; } server { listen 53 udp reuseport; } }\n"
        "http { server { listen 443 ssl; listen 443 quic reuseport; listen unix:/x; listen 80-82; } }"
    )
    copies, sockets = moved(tmp_path, {"nginx.conf": text}, {})
    assert copies["nginx.conf"] == (
        "stream { server { listen unix:/r/0.sock; } server { listen unix:/r/1.sock; } }\n"
        "http { server { listen unix:/r/2.sock ssl; listen unix:/r/3.sock; "
        "listen unix:/r/4.sock; listen unix:/r/5.sock; } }"
    )
    assert list(sockets.values()) == [Listen("", 53, tls=False), Listen("", 443)]


def test_a_server_that_does_not_say_where_it_listens(tmp_path: Path) -> None:
    """nginx takes port 8000 for it; not for one that includes its `listen`, nor for what only looks like a server."""
    text = (
        "http { server { return 404; }\nserver { include listens; } upstream u { server 192.0.2.1; } }\n"
        "stream { map $a $b { listen 1; } }"
    )
    copies, sockets = moved(tmp_path, {"nginx.conf": text, "listens": "listen 80;"}, {})
    assert copies["nginx.conf"] == text.replace("{ return", "{ listen unix:/r/1.sock; return")
    assert sockets == {R / "0.sock": Listen("", 80, tls=False), R / "1.sock": UNSAID}


def test_files_that_include_themselves_and_each_other(tmp_path: Path) -> None:
    copies, _ = moved(
        tmp_path,
        {"nginx.conf": "http { include nginx.conf; include OUTSIDE/a; }"},
        {"a": "include OUTSIDE/b;", "b": "include OUTSIDE/a; include OUTSIDE/gone;"},
    )
    gone = tmp_path / "elsewhere/gone"
    # nginx says that it is not there
    assert copies["secure-registry/outside/1.conf"] == f"include secure-registry/outside/0.conf; include {gone};"


def test_a_copy_from_elsewhere_takes_no_place_of_a_file_of_ours(tmp_path: Path) -> None:
    ours = {"nginx.conf": "http { include OUTSIDE/a; include outside/*; }", "outside/0.conf": "server { listen 80; }"}
    copies, _ = moved(tmp_path, ours, {"a": "server { listen 81; }"})
    servers = [text for name, text in copies.items() if name.endswith("0.conf")]
    assert sorted(servers) == [f"server {{ listen unix:/r/{number}.sock; }}" for number in (0, 1)]


def test_the_world_is_asked_at_addresses_of_any_file(tmp_path: Path) -> None:
    files = {
        "nginx.conf": "stream { server { listen 5432 ssl; } }\n"
        "http { include sites/*; include /other; server { server_name silent; } }",
        "sites/a": "server { listen 80; listen 443; } server { listen 443 ssl; }",
    }
    outside = {Path("/other"): b"server { listen 81; server_name other.example; }"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = serverblocks.of(serverblocks.walked(tmp_path, lambda path: outside.get(path) or path.read_bytes()))
    assert serverblocks.listens(found) == (
        Listen("", 5432, tls=False), Listen("", 80, tls=False), Listen("", 443), Listen("", 81, tls=False), UNSAID,
    )  # fmt: skip
    doors = {(door.listen.port, door.name) for door in serverblocks.doors(found)}
    assert {(81, "other.example"), (8000, "silent")} < doors
    assert 5432 not in {port for port, _ in doors}
