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
from secreg_host.wanted.parts import access, nginx
from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings
from tests import made

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


def test_sizes_that_are_said_for_all_are_not_said_again(host: Host) -> None:
    """nginx takes one of each, and ours only where there is an access.yml."""
    says(host, "map_hash_bucket_size 128; variables_hash_max_size 2048;")
    part = nginx.read(Snapshot(host.paths)).part
    assert part is not None and part.sized == ("map_hash_bucket_size", "variables_hash_max_size")
    parts = made.parts(part, AccessPart(files={access.YML: b"adminPolicy: {users: [a], actions: [read]}"}))
    conf = assemble.assemble(host, parts, "a").rendered["front/secure-registry/http.conf"].decode()
    assert "\nmap_hash_max_size 65536;" in conf and "map_hash_bucket_size" not in conf
    without = assemble.assemble(host, made.parts(part), "a").rendered["front/secure-registry/http.conf"].decode()
    assert "map_hash_max_size" not in without
