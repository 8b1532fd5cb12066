"""Connections that are opened and left: how many there is room for, and who says how long they are waited for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secreg_host.base.snapshot import Snapshot
from secreg_host.command import foreground
from secreg_host.generation import assemble
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.services import units
from secreg_host.wanted import defaults
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.parts import nginx
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings
from tests import made
from tests.world import World

OURS = """\
include secure-registry/main.conf;
http {
    include secure-registry/http.conf;
    %s
    server {
        listen 443 ssl;
        %s
        include secure-registry/registry.conf;
    }
}
"""
SAID = "client_header_timeout 20s;"


def says(host: Host, http: str = "", server: str = "") -> bool:
    """Whether an nginx.conf with such lines is taken to say itself how long a header may take."""
    host.paths.etc.mkdir(parents=True, exist_ok=True)
    host.paths.nginx_conf.write_text(OURS % (http, server))
    part = nginx.read(Snapshot(host.paths)).part
    assert part is not None
    return part.patience


def test_what_is_said_for_all_servers_is_the_administrators_will(host: Host, tmp_path: Path) -> None:
    """nginx takes one of a block: a second would have an nginx.conf of 0.1 refused."""
    assert says(host, SAID)
    host.paths.etc.joinpath("mine.conf").write_text(f"include {tmp_path}/*.conf;")
    tmp_path.joinpath("more.conf").write_text(SAID)
    assert says(host, "include mine.conf;")


@pytest.mark.parametrize(
    ("http", "server"),
    [("", ""), ("", SAID), (f"# {SAID}", ""), ("client_body_timeout 20s;", ""), (f"server {{ listen 1; {SAID} }}", "")],
)
def test_what_one_server_says_is_said_beside_ours(host: Host, http: str, server: str) -> None:
    assert not says(host, http, server)


@pytest.mark.promise("half-open")
def test_the_default_has_room_for_them(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that takes them all has it: nginx does not share them out. Each connection may have a file, too."""
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
    written = defaults.render(host, Settings(), Facts("host", (), False))
    (conf,) = (one.data.decode() for one in written if one.path == host.paths.nginx_conf)
    (connections,) = re.findall(r"(?m)^ *worker_connections +(\d+);", conf)
    assert int(connections) >= 24_000
    unit = units.render(host, Parts(made.settings(), RegistryPart(root=None)))[
        host.paths.units / units.unit_of("nginx")
    ]
    (files,) = re.findall(r"(?m)^LimitNOFILE=(\d+)$", unit.decode())
    assert int(files) == foreground.OPEN_FILES > 2 * int(connections)


@pytest.mark.parametrize("said", [(), ("variables_hash_max_size",), nginx.SIZES])
def test_how_much_room_names_have_is_said_once(world: World, said: tuple[str, ...]) -> None:
    """nginx takes one of a block, and warns, at each reload, where there is too little."""
    host = world.host
    says(host, " ".join(f"{name} 2048;" for name in said))
    part = nginx.read(Snapshot(host.paths)).part
    assert part is not None and part.sized == tuple(said)
    rendered = assemble.assemble(host, made.parts(made.settings(), part), "a").rendered
    ours = rendered["front/secure-registry/http.conf"].decode()
    assert ("variables_hash_max_size" in ours) == (not said)
    assert nginx.NginxPart.restored(part.files, part.sources, part.facts).sized == part.sized
