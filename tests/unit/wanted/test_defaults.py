"""Facts of the host: its name with the domain on new hosts, and what becomes of it where a CA has its limits."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from secreg_host.base.records import Ledger, Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.wanted import defaults
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.settings import Settings

HERE = Facts("reg", ("10.0.0.5",), True, "example.org")


@pytest.mark.promise("host-names")
def test_the_full_name_comes_first() -> None:
    assert defaults.names(Settings(), HERE) == ("reg.example.org", "reg", "localhost")
    assert defaults.names(Settings(server_names=("a.example",)), HERE)[0] == "a.example"


def test_a_host_of_version_0_1_keeps_its_names(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its CA may sign the short one only."""
    host.paths.state.mkdir(parents=True)
    (host.paths.state / "facts.json").write_text('{"hostname": "reg", "addresses": ["10.0.0.5"], "ipv6": true}')
    monkeypatch.setattr(hosts, "domain", lambda: pytest.fail("it is not asked again"))
    assert defaults.facts(host) == Facts("reg", ("10.0.0.5",), True)


def test_facts_are_found_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.paths.state.mkdir(parents=True)
    monkeypatch.setattr(defaults, "now", lambda: HERE)
    assert defaults.facts(host) == HERE
    monkeypatch.setattr(defaults, "now", lambda: pytest.fail("they are recorded"))
    assert defaults.facts(host) == HERE == defaults.recorded(host)


@pytest.mark.promise("fresh-default")
def test_what_was_removed_is_made_anew_by_a_setup(host: Host) -> None:
    """Broken, then removed; what else was edited stays, and an apply alone makes nothing."""
    paths = host.paths
    paths.etc.mkdir(parents=True)

    def follow(*, create: bool) -> list[Path]:
        writes = defaults.render(host, Settings(), HERE)
        return [write.path for write in defaults.follow(Snapshot(paths), writes, create=create)]

    follow(create=True)
    fresh = paths.nginx_conf.read_bytes()
    paths.nginx_conf.write_bytes(b"broken")
    paths.registry_yml.write_bytes(b"mine")
    assert follow(create=True) == []
    paths.nginx_conf.unlink()
    assert follow(create=False) == [] and not paths.nginx_conf.exists()
    assert follow(create=True) == [paths.nginx_conf]
    assert paths.nginx_conf.read_bytes() == fresh and paths.registry_yml.read_bytes() == b"mine"


def may_sign(*names: str) -> defaults.Outside:
    def outside(hosts: Sequence[str], addresses: Sequence[str]) -> tuple[str, ...]:
        return tuple(one for one in (*hosts, *addresses) if one not in names)

    return outside


@pytest.mark.parametrize(
    ("signs", "known", "kept", "refused"),
    [
        (("reg.example.org", "reg", "10.0.0.5"), None, HERE, ()),
        (("reg", "10.0.0.5"), None, Facts("reg", ("10.0.0.5",), True), ()),  # of 0.1: the domain is left out silently
        (("reg.example.org", "reg"), None, Facts("reg", (), True, "example.org"), ("10.0.0.5",)),
        (("old", "10.0.0.5"), Facts("old", (), True), Facts("old", ("10.0.0.5",), True), ("reg",)),  # renamed
    ],
)
def test_what_the_ca_may_sign(signs: tuple[str, ...], known: Facts | None, kept: Facts, refused: object) -> None:
    assert defaults.signable(HERE, known, may_sign(*signs)) == (kept, refused)


def test_what_moved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "new")
    monkeypatch.setattr(hosts, "addresses", lambda: ("10.0.0.6",))
    conf = Path("/conf")

    def nothing(_: str) -> bool:
        return False

    name, address = defaults.moved(conf, Settings(), HERE, may_sign("new"), nothing)
    assert "called new now" in name.what and "gencert; or" in name.hint and "10.0.0.5" in address.what
    name, _ = defaults.moved(conf, Settings(), HERE, may_sign("reg"), nothing)
    assert "gencert --new-ca" in name.hint, "no other would help"
    here = Facts("old", ("10.0.0.6",), True)
    assert defaults.moved(conf, Settings(server_names=("a",)), here, may_sign(), nothing) == ()
    assert defaults.moved(conf, Settings(), here, may_sign(), lambda name: name == "new") == (), "it is for that, too"


@pytest.mark.parametrize(
    ("answers", "domain"),
    [
        (["reg.example.org"], "example.org"),
        (["reg"], ""),
        (["localhost"], ""),
        (["reg.localdomain"], ""),
        (["other.example.org"], ""),
        (["reg.exa mple"], ""),
    ],
)
def test_the_domain(monkeypatch: pytest.MonkeyPatch, answers: list[str], domain: str) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "reg")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, answer, ()) for answer in answers])
    assert hosts.domain() == domain


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    forever = threading.Event()
    monkeypatch.setattr(hosts, "NAME_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [forever.wait(60)][1:])
    assert hosts.domain() == ""
    forever.set()


@pytest.mark.parametrize(
    ("ports", "inner"),
    [((), True), (("veth1",), True), (("eth0",), False), (("veth1", "eth0"), False), (("bond0.5",), False)],
)
def test_bridges_to_containers_are_inner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: tuple[str, ...], inner: bool
) -> None:
    """Seen: docker0's 172.17.0.1 in certificates, in scripts for other hosts, and in entries of dockerd."""
    for name in ("veth1", "eth0", "bond0.5", "br0"):
        (tmp_path / name).mkdir()
    (tmp_path / "eth0/device").mkdir()
    (tmp_path / "bond0.5/lower_bond0").mkdir()
    (tmp_path / "br0/bridge").mkdir()
    (tmp_path / "br0/brif").mkdir()
    for port in ports:
        (tmp_path / "br0/brif" / port).symlink_to(tmp_path / port)
    monkeypatch.setattr(hosts, "NET", tmp_path)
    assert hosts.is_inner("br0") == inner
    assert not hosts.is_inner("eth0")


REMEMBERS = "  cache:\n    blobdescriptor: inmemory\n"


@pytest.mark.promise("default-without-a-cache")
@pytest.mark.parametrize("edited", [False, True])
def test_the_cache_leaves_a_file_of_before_unless_it_was_edited(host: Host, edited: bool) -> None:
    """As 0.1, and 0.2.0 at first, wrote it."""
    paths = host.paths
    paths.etc.mkdir(parents=True)
    [now] = [one for one in defaults.render(host, Settings(), HERE) if one.path == paths.registry_yml]
    assert b"cache" not in now.data
    text = now.data.decode()
    before = text.replace("  maintenance:\n", f"{REMEMBERS}  maintenance:\n")
    assert before != text
    Ledger(paths).record([Write(paths.registry_yml, before.encode(), now.mode)])
    paths.registry_yml.write_text(f"{before}# mine\n" if edited else before)
    written = defaults.follow(Snapshot(paths), (now,), create=False)
    assert [one.path for one in written] == ([] if edited else [paths.registry_yml])
    assert (REMEMBERS in paths.registry_yml.read_text()) == edited
