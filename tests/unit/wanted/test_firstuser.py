"""USERNAME and PASSWORD add or change that user, and .password goes once it is not true any more."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import users
from secreg_host.host.host import Host
from secreg_host.wanted import firstuser, provision, sources
from secreg_host.wanted.parts import settings as settings_part
from tests.unit.wanted.test_provision import write

QUICK = "OPT='-5 -r 1000'\n"


def apply(host: Host, **environment: str) -> tuple[Problem, ...]:
    """As an apply does it, of `start` where something is set in the environment; what has no effect."""
    disk = Snapshot(host.paths, sources.marks(host.paths, ()))
    settings = settings_part.read(disk, environment)
    return firstuser.follow(disk, settings, create=True, restore=True, given="PASSWORD" in environment).warnings


def who(host: Host, *passwords: str) -> dict[str, set[str]]:
    """The users, each with those of `passwords` that are right."""
    found, problems = users.parse(host.paths.htpasswd.read_bytes(), "")
    assert problems == ()
    return {one.name: {word for word in passwords if users.verify(word, one.hash)} for one in found}


@pytest.fixture
def made(host: Host) -> str:
    """The password that was made up for user docker."""
    write(host.paths.conf, QUICK)
    apply(host)
    return host.paths.password.read_text().strip()


@pytest.mark.promise("settings-take-no-user-away")
def test_another_first_user_takes_nobody_away(host: Host, made: str) -> None:
    """Seen: after the quickstart, `USERNAME=crazy PASSWORD=fool secure-registry start` replaced user docker."""
    apply(host, USERNAME="crazy", PASSWORD="fool")
    assert who(host, made, "fool") == {"docker": {made}, "crazy": {"fool"}}
    assert host.paths.password.exists(), "it is still docker's"
    write(host.paths.conf, f"{QUICK}USERNAME=crazy\nCERT_DAYS=300\n")
    apply(host)
    assert who(host, made, "fool") == {"docker": {made}, "crazy": {"fool"}}, "an edit of something else changes nobody"
    apply(host, USERNAME="crazy", PASSWORD="other")
    assert who(host, made, "other") == {"docker": {made}, "crazy": {"other"}} and host.paths.password.exists()


@pytest.mark.promise("settings-without-effect")
@pytest.mark.usefixtures("made")
def test_a_name_of_nobody_is_told(host: Host) -> None:
    """Seen: USERNAME was edited, and nothing happened, without a word. Who is removed is told nothing of."""
    assert apply(host) == ()
    write(host.paths.conf, f"{QUICK}# more\nUSERNAME=crazy\n")
    (told,) = apply(host)
    assert told.where == f"{host.paths.conf}:3" and "USERNAME=crazy has no effect" in told.what
    assert told.hint == "add that user: secure-registry htpasswd crazy; or leave the line out"
    write(host.paths.conf, f"{QUICK}USERNAME=crazy\nPORT=9443\n")
    again = apply(host)
    assert again == apply(host) == (replace(told, where=f"{host.paths.conf}:2"),), "until it is so"
    docker = host.paths.htpasswd.read_text()
    write(host.paths.htpasswd, "")
    assert apply(host) == (), "it is the first user of a new file"
    write(host.paths.htpasswd, docker)
    assert apply(host) == again
    write(host.paths.htpasswd, f"{docker}crazy:{users.make_hash('a', users.Scheme.SHA)}\n")
    assert apply(host) == ()
    write(host.paths.htpasswd, f"# mine\n{docker}")
    assert apply(host) == () == apply(host), "somebody removed that user"
    write(host.paths.conf, f"{QUICK}USERNAME=frida\nPASSWORD=fool\n")
    assert [one.where for one in apply(host)] == [f"{host.paths.conf}:2"], "an edited .htpasswd takes no note of it"


def test_the_default_name_is_no_fault_of_who_brings_users(host: Host) -> None:
    write(host.paths.htpasswd, f"alice:{users.make_hash('a', users.Scheme.SHA)}\n")
    write(host.paths.conf, QUICK)
    assert apply(host) == ()
    write(host.paths.conf, f"{QUICK}USERNAME=docker\n")
    assert [one.where for one in apply(host)] == [f"{host.paths.conf}:2"]


def test_a_user_who_was_removed_before_an_update_is_not_told(host: Host, made: str) -> None:
    """What is remembered by earlier versions says only who it was."""
    write(host.paths.conf, f"{QUICK}USERNAME=crazy\nPASSWORD=fool\n")
    assert apply(host) == ()
    record = json.loads(firstuser._record(host.paths).read_bytes())
    write(firstuser._record(host.paths), json.dumps({key: record[key] for key in ("version", "stamp", "users")}))
    write(host.paths.htpasswd, f"docker:{users.make_hash(made, users.Scheme.SHA)}\n")
    assert apply(host) == ()


def test_the_same_user_with_another_password(host: Host, made: str) -> None:
    apply(host, PASSWORD="fool")
    assert who(host, made, "fool") == {"docker": {"fool"}} and not host.paths.password.exists()


def test_a_password_that_is_typed_counts_whoever_edited_the_users(host: Host, made: str) -> None:
    mine = host.paths.htpasswd.read_text() + f"# mine\nalice:{users.make_hash('a', users.Scheme.SHA)}\n"
    write(host.paths.htpasswd, mine)
    host.paths.htpasswd.chmod(0o604)
    write(host.paths.conf, f"{QUICK}PASSWORD=in-the-file\n")
    apply(host)
    assert host.paths.htpasswd.read_text() == mine, "of the file, an edited one takes no note"
    write(host.paths.conf, QUICK)
    apply(host, USERNAME="crazy", PASSWORD="fool")
    assert who(host, "a", "fool", made) == {"docker": {made}, "alice": {"a"}, "crazy": {"fool"}}
    assert host.paths.htpasswd.read_text().startswith(mine) and host.paths.htpasswd.stat().st_mode & 0o777 == 0o604


@pytest.mark.promise("made-up-password")
@pytest.mark.parametrize(("password", "stays"), [("by-hand", False), (None, True)])
def test_a_made_up_password_goes_when_it_is_untrue(host: Host, made: str, password: str | None, stays: bool) -> None:
    """Seen: it lay there for years after `htpasswd docker`, and who followed README got a 401. Of one who is gone it
    may be the only copy."""
    docker = f"docker:{users.make_hash(password, users.Scheme.SHA)}\n" if password else ""
    write(host.paths.htpasswd, f"alice:{users.make_hash('a', users.Scheme.SHA)}\n{docker}")
    apply(host)
    assert made and host.paths.password.exists() == stays


def test_a_file_that_is_half_saved_takes_none_away(host: Host, made: str) -> None:
    """Seen: an editor had written half of .htpasswd, and the only copy of the password was gone."""
    whole = host.paths.htpasswd.read_text()
    for length in range(len("docker:"), len(whole) - 1):
        write(host.paths.htpasswd, whole[:length])
        apply(host)
    assert made and host.paths.password.exists()


def test_one_that_was_brought_stays(host: Host) -> None:
    write(host.paths.conf, QUICK)
    write(host.paths.password, "mine\n")
    apply(host)
    write(host.paths.htpasswd, f"docker:{users.make_hash('by-hand', users.Scheme.SHA)}\n")
    apply(host)
    assert host.paths.password.read_text() == "mine\n"


def test_what_did_not_change_is_not_hashed_again(host: Host, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host.paths.htpasswd, host.paths.htpasswd.read_text() + f"alice:{users.make_hash('a', users.Scheme.SHA)}\n")
    monkeypatch.setattr(users, "verify", lambda *_: pytest.fail("the line of user docker is the same"))
    apply(host)
    assert host.paths.password.read_text().strip() == made


def test_the_user_that_the_file_names_is_added(host: Host, made: str) -> None:
    write(host.paths.conf, f"{QUICK}USERNAME=bob\nPASSWORD=b\n")
    apply(host)
    assert who(host, made, "b") == {"docker": {made}, "bob": {"b"}}


def test_check_reads_only(host: Host) -> None:
    provision.check(Snapshot(host.paths), {"PASSWORD": "x", "SERVER_NAME": "a.example"})
    assert not host.paths.etc.exists() and not host.paths.state.exists()


@pytest.mark.promise("settings-take-no-user-away")
def test_a_name_alone_adds_nobody(host: Host, made: str) -> None:
    """Seen: it was written, nobody was added, and not a word said so; and then that user had docker's password."""

    def check(**environment: str) -> None:
        provision.check(Snapshot(host.paths), environment)

    def refused() -> None:
        with pytest.raises(BadInput, match=r"^environment variable USERNAME: there is no such user in .*/\.htpasswd"):
            check(USERNAME="ghost")

    refused()
    write(host.paths.conf, f"{QUICK}USERNAME=ghost\n")
    apply(host)
    assert who(host, made) == {"docker": {made}}, "what was made up for one is nobody else's"
    write(host.paths.conf, QUICK)
    alice = f"alice:{users.make_hash('a', users.Scheme.SHA)}\n"
    write(host.paths.htpasswd, host.paths.htpasswd.read_text() + alice)
    refused()
    for environment in ({"USERNAME": "ghost", "PASSWORD": "x"}, {"USERNAME": "alice"}, {"USERNAME": "docker"}):
        check(**environment)
    check(USERNAME="ghost", LOGNAME="ghost")  # of a desktop: it means nothing
    host.paths.htpasswd.unlink()
    check(USERNAME="ghost")  # it is made


def test_a_name_with_a_password_that_was_brought(host: Host) -> None:
    """It counts for whom the settings name, as long as nobody edited the users."""
    write(host.paths.conf, QUICK)
    write(host.paths.password, "mine\n")
    apply(host)
    provision.check(Snapshot(host.paths), {"USERNAME": "second"})
    apply(host, USERNAME="second")
    assert who(host, "mine") == {"docker": {"mine"}, "second": {"mine"}}
