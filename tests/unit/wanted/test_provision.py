"""The first user follows what the settings and .password say, also while they change."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import users
from secreg_host.host.host import Host
from secreg_host.pki import chains, limits
from secreg_host.wanted import adoption, firstuser, provision, sources
from secreg_host.wanted.parts import settings as settings_part
from tests.unit.pki.test_clientrules import OTHER, Leaf

BROUGHT = Leaf(by=OTHER).pair().crt


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def first_user(host: Host) -> None:
    """As an apply does it."""
    disk = Snapshot(host.paths, sources.marks(host.paths, ()))
    firstuser.follow(disk, settings_part.read(disk, {}), create=True, restore=True, given=False)


def admitted(host: Host, password: str) -> bool:
    (user,) = users.parse(host.paths.htpasswd.read_bytes(), "")[0]
    return users.verify(password, user.hash)


@pytest.mark.parametrize("where", ["conf", "password"])
def test_a_password_that_changes_while_it_is_hashed(host: Host, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Seen: what was hashed was taken for what stands there now, until the file changed once more."""

    def say(password: str) -> None:
        write(host.paths.conf, f"OPT='-5 -r 1000'\nPASSWORD={password}\n" if where == "conf" else "OPT='-5 -r 1000'\n")
        if where == "password":
            write(host.paths.password, f"{password}\n")

    make = users.make_hash
    say("one")
    first_user(host)
    say("two")
    monkeypatch.setattr(users, "make_hash", lambda *argv: (make(*argv), say("three"))[0])
    first_user(host)
    assert admitted(host, "two")
    monkeypatch.setattr(users, "make_hash", make)
    first_user(host)
    assert admitted(host, "three")
    monkeypatch.setattr(users, "verify", lambda *_: pytest.fail("nothing changed, so nothing is verified"))
    first_user(host)


@pytest.mark.promise("killed-runs")
def test_a_first_user_of_whom_a_run_was_cut_is_made(host: Host) -> None:
    """Seen: a power cut after .password, and nobody could log in. One that was deleted stays away."""

    def provisioned() -> None:
        disk = Snapshot(host.paths, sources.marks(host.paths, ()))
        settings = settings_part.read(disk, {})
        provision.first_user(disk, settings, {}, create=True)

    write(host.paths.conf, "OPT='-5 -r 1000'\n")
    disk = Snapshot(host.paths)
    disk.ledger.record([Write(host.paths.htpasswd, b"docker:$6$lost\n")])
    provisioned()
    assert admitted(host, host.paths.password.read_text().strip())
    host.paths.htpasswd.unlink()
    provisioned()
    assert not host.paths.htpasswd.exists()


def test_a_broken_openssl_cnf_holds_back_no_password(host: Host) -> None:
    def provisioned(environment: dict[str, str]) -> None:
        disk = Snapshot(host.paths, sources.marks(host.paths, ()))
        provision.provision(host, disk, settings_part.read(disk, environment), environment, create=True)

    quick = {"OPT": "-5 -r 1000"}
    provisioned(quick)
    made = host.paths.password.read_text().strip()
    assert admitted(host, made)
    write(host.paths.openssl_cnf, "broken")
    with pytest.raises(BadInput, match="openssl.cnf"):
        provisioned({**quick, "PASSWORD": "two"})
    assert admitted(host, "two") and not host.paths.password.exists(), "it would count again at the next edit"
    write(host.paths.conf, "OPT='-5 -r 1000'\nPASSWORD=three\n")
    with pytest.raises(BadInput, match="openssl.cnf"):
        provisioned({})
    assert admitted(host, "three")


@pytest.mark.parametrize(
    ("stored", "conf", "where", "said"),
    [
        ("\nhunter\n \ntwo\n", "", ".password:4", "a second line"),
        ("\nhunter\ttwo\n", "", ".password:2", "control characters"),
        (f"{'x' * 600}\n", "", ".password:1", "longer than 511 bytes"),
        ("hunter\ntw\xe9\n", "", ".password:2", "not UTF-8"),
        ("hunter\ntwo\n", "OPT=-B\nPASSWORD=" + 80 * "x", "secure-registry.conf:2", "bcrypt looks at 72 bytes only"),
        (80 * "x", "OPT=-B", ".password:1", "bcrypt looks at 72 bytes only"),
    ],
)
def test_a_password_that_can_not_be_one_is_told_with_its_place(
    host: Host, stored: str, conf: str, where: str, said: str
) -> None:
    write(host.paths.conf, conf)
    host.paths.password.write_bytes(stored.encode("latin-1"))
    with pytest.raises(BadInput) as caught:
        first_user(host)
    (problem,) = caught.value.problems
    assert problem.where == f"{host.paths.etc}/{where}" and said in problem.what and problem.hint
    assert "hunter" not in str(problem), "no message quotes it"
    assert not host.paths.htpasswd.exists() and host.paths.password.read_bytes() == stored.encode("latin-1")


def test_a_password_of_the_environment_that_can_not_be_one(host: Host) -> None:
    given = {"OPT": "-B", "PASSWORD": 80 * "x"}
    disk = Snapshot(host.paths, sources.marks(host.paths, ()))
    with pytest.raises(BadInput, match="environment variable PASSWORD: the password: bcrypt looks at 72 bytes only"):
        firstuser.follow(disk, settings_part.read(disk, given), create=True, restore=True, given=True)


@pytest.mark.promise("ca-follows-names")
def test_the_ca_follows_the_settings_until_something_served(host: Host) -> None:
    """Seen: `setup`, then README's `SERVER_NAME=… start`: refused, for setup had made a CA that may not sign it."""

    def provisioned(*, fresh: bool, **given: str) -> None:
        disk, environment = Snapshot(host.paths, sources.marks(host.paths, ())), {"OPT": "-5 -r 1000", **given}
        adoption.adopt(host, disk, environment)
        provision.provision(host, disk, settings_part.read(disk, environment), environment, create=True, fresh=fresh)

    paths = host.paths
    provisioned(fresh=True)
    first = paths.ca_crt.read_bytes()
    provisioned(fresh=True, USERNAME="alice")
    assert paths.ca_crt.read_bytes() == first, "it may sign all that is asked for"
    with pytest.raises(BadInput, match=r"may not sign one\.example"):
        provisioned(fresh=False, SERVER_NAME="one.example")
    provisioned(fresh=True, SERVER_NAME="one.example")
    second = paths.ca_crt.read_bytes()
    (leaf,), (ca,) = (chains.read(path.read_bytes(), "") for path in (paths.crt, paths.ca_crt))
    assert second != first and "one.example" in leaf.names and leaf.is_signed_by(ca)
    provisioned(fresh=False, CA_DOMAIN="corp.example")
    assert paths.ca_crt.read_bytes() == second, "clients have it"
    provisioned(fresh=True)
    third = paths.ca_crt.read_bytes()
    assert limits.outside(chains.read(third, "")[0], ("any.corp.example", "one.example"), ()) == ()
    provisioned(fresh=True)
    assert paths.ca_crt.read_bytes() == third != second
    crt = paths.crt.read_bytes()
    paths.crt.write_bytes(BROUGHT)
    provisioned(fresh=True, CA_DOMAIN="other.example")
    assert (paths.crt.read_bytes(), paths.ca_crt.read_bytes()) == (BROUGHT, third), "who brings one needs none"
    paths.crt.write_bytes(crt)
    write(paths.ca_crt, third.decode() + "\n")
    with pytest.raises(BadInput, match=r"may not sign two\.example"):
        provisioned(fresh=True, SERVER_NAME="two.example")
    assert paths.ca_crt.read_bytes() == third + b"\n", "it is somebody's by now"


QUICK = {"OPT": "-5 -r 1000"}


def provisioned(host: Host, *, create: bool = True, restore: bool = False) -> list[str]:
    """The names of what was written."""
    disk = Snapshot(host.paths, sources.marks(host.paths, ()))
    made = provision.provision(host, disk, settings_part.read(disk, QUICK), QUICK, create=create, restore=restore)
    return sorted(path.name for path in made.written)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_made_is_made_once_and_for_whom_it_is(host: Host) -> None:
    """The program's memory holds the CA's key: nobody else may even enter its directory."""
    paths, before = host.paths, os.umask(0)
    try:
        written = provisioned(host)
        paths.state.chmod(0o777)
        assert provisioned(host) == []
    finally:
        os.umask(before)
    assert {"nginx.conf", "docker-registry.yml", "secure-registry.conf", "openssl.cnf", ".htpasswd"} <= set(written)
    assert (mode(paths.lib), mode(paths.state), mode(paths.etc), mode(paths.log)) == (0o755, 0o700, 0o755, 0o750)
    secret = (paths.key, paths.ca_key, paths.http_secret, paths.htpasswd, paths.password)
    assert {mode(path) & 0o077 for path in secret} <= {0, 0o040}
    bytes_of = {path: path.read_bytes() for path in (*secret, paths.crt, paths.conf)}
    provisioned(host)
    assert {path: path.read_bytes() for path in bytes_of} == bytes_of


def test_a_directory_of_logs_that_passes_its_group_on_stays(host: Host) -> None:
    """The packages make it so for adm."""
    host.paths.log.mkdir(parents=True)
    host.paths.log.chmod(0o2750)
    provisioned(host)
    assert mode(host.paths.log) == 0o2750
    host.paths.log.chmod(0o777)
    provisioned(host)
    assert mode(host.paths.log) == 0o750


def test_users_who_were_deleted_come_back_by_setup_alone(host: Host) -> None:
    provisioned(host)
    host.paths.htpasswd.unlink()
    assert provisioned(host) == [] and not host.paths.htpasswd.exists(), "somebody wanted nobody to get in"
    assert ".htpasswd" in provisioned(host, restore=True) and host.paths.htpasswd.exists()


def test_a_check_makes_nothing(host: Host) -> None:
    host.paths.etc.mkdir(parents=True)
    host.paths.state.mkdir(parents=True)
    assert provisioned(host, create=False) == [] and list(host.paths.etc.iterdir()) == []
