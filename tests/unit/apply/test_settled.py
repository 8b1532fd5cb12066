"""What the environment sets is taken over as a whole, or refused: then nothing is written, and nothing is recorded."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import apply, portconflicts, settled
from secreg_host.apply.activate import Stage
from secreg_host.apply.portconflicts import Conflict
from secreg_host.apply.wish import Wish
from secreg_host.base import files, records
from secreg_host.base.errors import Exit, Later, Problem, Refused, SecregError
from secreg_host.base.records import Ledger, Write
from secreg_host.formats import users
from secreg_host.formats.listening import Listen
from secreg_host.host.host import Host
from secreg_host.wanted.settings import Settings
from secreg_host.watchdog import retries
from tests import made
from tests.world import World

CONF = "OPT='-5 -r 1000'\n"
USERS = f"alice:{users.make_hash('a', users.Scheme.SHA)}\n"


@pytest.fixture
def stage(world: World) -> Stage:
    """A host that is set up and serves; no other nginx can be run on it."""
    world.refusal = Problem("", "no nginx")
    world.host.paths.etc.mkdir(parents=True)
    world.host.paths.conf.write_text(CONF)
    world.host.paths.htpasswd.write_text(USERS)
    return world.stage


def adopt(stage: Stage, **environment: str) -> list[str]:
    """The names of the files that were written."""
    current: Any = SimpleNamespace(settings=Settings(), taken=(made.AT,))
    return [path.name for path in settled.adopt(stage, Wish("start", environment, create=True), current).written]


def content(host: Host) -> list[str]:
    return [host.paths.conf.read_text(), host.paths.htpasswd.read_text()]


def test_a_user_and_a_setting_go_together(stage: Stage) -> None:
    assert adopt(stage, USERNAME="crazy", PASSWORD="fool", PORT="9443") == ["secure-registry.conf", ".htpasswd"]
    conf, now = content(stage.host)
    assert conf == f"{CONF}PORT=9443\nUSERNAME=crazy\n"
    assert now.startswith(f"{USERS}crazy:$6$rounds=1000$")
    assert adopt(stage, USERNAME="crazy", PORT="9443") == []


@pytest.mark.promise("refused-as-a-whole")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"NGINX_BINARY": "/no/nginx"}, "environment variable NGINX_BINARY: program not found: /no/nginx"),
        ({"NGINX_BINARY": "/bin/sh"}, "environment variable NGINX_BINARY: no nginx"),
        ({"REGISTRY_HOST": "127.0.0.1", "REGISTRY_PORT": "1"}, "environment variable REGISTRY_HOST: no registry answ"),
        ({"PASSWORD": "tab\t"}, "environment variable PASSWORD: it has control characters"),
        ({"PASSWORD": "a" * 512}, "environment variable PASSWORD: it is longer than 511 bytes"),
        ({"PASSWORD": "a" * 73, "OPT": "-B"}, "environment variable PASSWORD: bcrypt looks at 72"),
    ],
)
def test_what_would_not_serve_is_refused(stage: Stage, environment: dict[str, str], said: str) -> None:
    """Seen: it was written first, and held back all else from then on, a user's password among it."""
    with pytest.raises(Refused) as caught:
        adopt(stage, **{"USERNAME": "crazy", "PASSWORD": "fool"} | environment)
    assert str(caught.value).startswith(said) and caught.value.code == Exit.BAD_INPUT
    assert content(stage.host) == [CONF, USERS]


@pytest.mark.promise("refused-as-a-whole", "taken-port")
def test_a_port_that_somebody_has_is_refused(stage: Stage, world: World) -> None:
    """Seen: it was written, and held back from then on. Where nginx.conf was edited it has no effect, and what we have
    ourselves is nobody else's."""
    said = "port 8443 (*:8443) is used by python3"
    world.taken = Conflict(Listen("", 8443), said, portconflicts.ANOTHER, "or stop that")
    with pytest.raises(Refused) as caught:
        adopt(stage, USERNAME="crazy", PASSWORD="fool", PORT="8443")
    where, hint = "environment variable PORT", "set PORT to another one; or stop that"
    assert caught.value.problems == (Later(where, said, hint),)
    assert content(stage.host) == [CONF, USERS]
    assert adopt(stage, PORT="443") == ["secure-registry.conf"], "it serves there, whatever was held back"
    stage.host.paths.nginx_conf.write_text("# edited")
    assert adopt(stage, PORT="8443") == ["secure-registry.conf"]


@pytest.mark.parametrize("name", ["secure-registry.conf", ".htpasswd"])
def test_what_can_not_be_written_is_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Seen: PORT stood in a file that was mounted read-only for `status`, by the name of a temporary file."""
    really = files.write

    def write(path: Path, *given: Any) -> None:
        if path.name == name:
            raise SecregError(f"cannot write {path}: Read-only file system", "remount it")
        really(path, *given)

    monkeypatch.setattr(files, "write", write)
    with pytest.raises(Refused, match=f"cannot write .*/{name}: Read-only") as caught:
        adopt(stage, USERNAME="crazy", PASSWORD="fool")
    assert caught.value.problems[0].where == str(stage.host.paths.conf)
    assert content(stage.host) == [CONF, USERS]


@pytest.mark.parametrize("linked", [True, False])
def test_a_user_who_can_not_be_added_is_told(stage: Stage, linked: bool) -> None:
    """A deleted .htpasswd is brought back by `setup` alone. Seen: the password was lost without a word."""
    path = stage.host.paths.htpasswd
    Ledger(stage.host.paths).record([Write(path, path.read_bytes())])
    records.save(stage.host.paths.state / "credentials.json", {"stamp": ["docker"]})
    path.unlink()
    if linked:
        path.symlink_to("away")
    with pytest.raises(Refused, match="htpasswd"):
        adopt(stage, PASSWORD="fool", PORT="9443")
    assert stage.host.paths.conf.read_text() == CONF


def test_a_refusal_is_no_failure_of_what_serves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is tried again, or told by `status`."""

    def refuse(*_: Any) -> None:
        raise Refused([Problem("environment variable PORT", "it is none", "leave it out")])

    monkeypatch.setattr(apply, "_apply", refuse)
    with pytest.raises(Refused):
        apply.apply(stage, Wish("start", {}, create=True))
    assert retries.load(stage.host.paths) is None


def test_a_temporary_file_is_not_what_can_not_be_written(tmp_path: Path) -> None:
    path, beside = tmp_path / "there", tmp_path / ".there.1.new"
    with pytest.raises(SecregError, match=f"^cannot write {path}: Read"), files.explained(path):
        raise OSError(errno.EROFS, "Read-only file system", str(beside))
