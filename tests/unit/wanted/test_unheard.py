"""What is set of the first user without effect, because .htpasswd was edited, is told with its line."""

from __future__ import annotations

import pytest

from secreg_host.formats import users
from secreg_host.host.host import Host
from secreg_host.wanted import firstuser
from tests.unit.wanted.test_firstuser import QUICK, apply
from tests.unit.wanted.test_provision import write


def edited(host: Host, **passwords: str) -> None:
    """Somebody writes .htpasswd."""
    lines = (f"{name}:{users.make_hash(word, users.Scheme.SHA)}\n" for name, word in passwords.items())
    write(host.paths.htpasswd, "# mine\n" + "".join(lines))


def told(host: Host) -> list[str]:
    """What an apply says, of the first one and of each that follows."""
    said = apply(host)
    assert said == apply(host) == apply(host), "until it is so"
    assert not any("fool" in str(one) or "swordfish" in str(one) for one in said), "no password is quoted"
    return [f"{one.where.removeprefix(f'{host.paths.etc}/')}: {one.what} -> {one.hint}" for one in said]


def another(host: Host, where: str, leave: str, name: str = "PASSWORD") -> list[str]:
    why = f"user docker has another password in {host.paths.htpasswd}, which was edited"
    return [f"{where}: {name} has no effect: {why} -> secure-registry htpasswd docker; or {leave}"]


@pytest.mark.promise("settings-without-effect")
def test_a_password_beside_users_that_were_edited_is_told(host: Host) -> None:
    """Seen: PASSWORD was edited, and nothing happened, without a word."""
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\n")
    assert told(host) == []
    write(host.paths.conf, f"{QUICK}PASSWORD=swordfish\n")
    assert told(host) == [], "it counts: nobody edited the users"
    edited(host, docker="swordfish", alice="a")
    assert told(host) == []
    write(host.paths.conf, f"{QUICK}# more\nPASSWORD=fool\n")
    unheard = another(host, "secure-registry.conf:3", "leave the line out")
    assert told(host) == unheard
    edited(host, docker="swordfish")
    assert told(host) == unheard, "whoever else is edited"
    edited(host, docker="fool")
    assert told(host) == [], "it is so now"
    write(host.paths.conf, f"{QUICK}PASSWORD=swordfish\n")
    assert told(host) == another(host, "secure-registry.conf:2", "leave the line out")
    write(host.paths.conf, QUICK)
    assert told(host) == []


@pytest.mark.promise("settings-without-effect")
def test_a_password_that_was_the_users_once_is_not_told(host: Host) -> None:
    """As a name is not of whom somebody removed."""
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\n")
    apply(host)
    edited(host, docker="by-hand")
    assert told(host) == []
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\nCERT_DAYS=300\n")
    assert told(host) == [], "it is the same"
    edited(host, alice="a")
    assert told(host) == []
    write(host.paths.conf, f"{QUICK}PASSWORD=swordfish\nCERT_DAYS=300\n")
    why = f"there is no user docker in {host.paths.htpasswd}, which was edited"
    hint = "secure-registry htpasswd docker; or leave the line out"
    assert told(host) == [f"secure-registry.conf:2: PASSWORD has no effect: {why} -> {hint}"]


def test_one_that_is_remembered_by_no_earlier_version(host: Host) -> None:
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\n")
    apply(host)
    record = firstuser._record(host.paths)
    write(record, record.read_text().replace('"was"', '"earlier"').replace('"password"', '"older"'))
    apply(host)
    edited(host, docker="by-hand")
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\nCERT_DAYS=300\n")
    assert told(host) == []


@pytest.mark.promise("settings-without-effect")
def test_a_password_in_its_file_is_told_too(host: Host) -> None:
    write(host.paths.conf, QUICK)
    apply(host)
    made = host.paths.password.read_text()
    edited(host, docker="by-hand")
    assert told(host) == [] and not host.paths.password.exists(), "one that was made up goes"
    write(host.paths.password, "\nfool\n")
    assert made and told(host) == another(host, ".password:2", "remove the file", "the password")
    edited(host, docker="fool")
    assert told(host) == []
    write(host.paths.password, "one\ntwo\n")
    assert told(host) == [], "it is none"


def test_a_name_of_nobody_says_it_all(host: Host) -> None:
    write(host.paths.conf, QUICK)
    apply(host)
    edited(host, docker="by-hand")
    write(host.paths.conf, f"{QUICK}USERNAME=crazy\nPASSWORD=fool\n")
    (said,) = told(host)
    assert said.startswith("secure-registry.conf:2: USERNAME=crazy has no effect: ")


@pytest.mark.parametrize("htpasswd", ["", "docker:", "docker:{SH"])
def test_of_a_file_that_is_half_saved_nothing_is_told(host: Host, htpasswd: str) -> None:
    write(host.paths.conf, QUICK)
    apply(host)
    write(host.paths.htpasswd, htpasswd)
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\n")
    assert told(host) == []


def test_what_did_not_change_is_not_hashed_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host.paths.conf, QUICK)
    apply(host)
    edited(host, docker="by-hand")
    write(host.paths.conf, f"{QUICK}PASSWORD=fool\n")
    unheard = told(host)
    record = firstuser._record(host.paths).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(users, "verify", lambda *_: pytest.fail("neither the line nor that user is another one"))
        write(host.paths.htpasswd, host.paths.htpasswd.read_text() + "# more\n")
        assert told(host) == unheard != []
    assert len(record) < 2000 and b"fool" not in record
