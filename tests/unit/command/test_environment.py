"""Which settings of the environment a verb goes by: what is none of its business is left as it is."""

from __future__ import annotations

import io
import sys

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.command import cli, instance
from secreg_host.command.call import Call
from secreg_host.command.instance import InForeground
from secreg_host.formats import users
from secreg_host.host.host import Host
from secreg_host.wanted import adoption
from secreg_host.wanted import settings as settings_module

EDITED = "# mine\nUSERNAME=frida\nPASSWORD=fool\nOPT='-5 -r 1000'\nREGISTRY_HOST=127.0.0.1\n"


@pytest.fixture
def edited(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(instance, "of", lambda call: InForeground(host))
    host.paths.etc.mkdir(parents=True)
    host.paths.conf.write_text(EDITED)
    return host


def run(host: Host, *argv: str, **environment: str) -> int:
    parser = cli.build_parser()
    args = parser.parse_args(argv)
    return cli.load(args.verb).run(Call(args, host.paths, environment, parser))


@pytest.mark.promise("settings-of-verbs")
def test_gencert_takes_over_what_a_certificate_is_made_of(
    edited: Host, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: `PORT=8443 secure-registry gencert` moved the registry to another port at the next apply."""
    others = {"PORT": "8443", "PASSWORD": "lost", "OPT": "-B"}
    silent = {"REGISTRY_HOST": "127.0.0.1", "NGINX_BINARY": "", "HOME": "/root"}
    assert run(edited, "gencert", SERVER_NAME="a.example", C="DE", **others, **silent) == 0
    assert edited.paths.conf.read_text() == f"{EDITED}SERVER_NAME=a.example\nC=DE\n"
    said = [one.getMessage().partition(": gencert does not go by it")[0] for one in caplog.records]
    assert said == [f"warning: environment variable {name}" for name in others]
    assert "lost" not in caplog.text + capsys.readouterr().out
    caplog.clear()
    assert run(edited, "gencert", PASSWORD="fool", USERNAME="frida") == 0 and not caplog.records, "it is so already"


@pytest.mark.promise("settings-of-verbs")
def test_htpasswd_goes_by_what_a_user_is_made_of(edited: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: `PORT=8443 secure-registry htpasswd alice` was refused, for the file says another one."""
    edited.paths.htpasswd.write_text("# users\n")
    elsewhere = {"PORT": "x", "REGISTRY_HOST": "no.such.invalid", "SERVER_NAME": "a/b"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("of-alice\n"))
    assert (
        run(edited, "htpasswd", "-i", "alice", USERNAME="bob", PASSWORD="of-bob", OPTS="-5 -r 1000", **elsewhere) == 0
    )
    assert run(edited, "htpasswd", PASSWORD="fool", **elsewhere) == 0
    found = {user.name: user.hash for user in users.parse(edited.paths.htpasswd.read_bytes(), "")[0]}
    assert users.verify("of-alice", found["alice"]) and users.verify("fool", found["frida"]) and len(found) == 2
    with pytest.raises(BadInput, match="environment variable OPT: differs from"):
        run(edited, "htpasswd", "-b", "bob", "x", OPT="-B")
    assert edited.paths.conf.read_text() == EDITED


def test_each_setting_is_of_start_and_some_of_others() -> None:
    every = {*settings_module.BY_NAME}
    assert {*adoption.OF_CERTIFICATE, *adoption.OF_USER} < every
    environment = {name: "x" for name in (*every, *settings_module.ALIASES, "HOME")}
    assert adoption.only(environment, every) == environment
    assert set(adoption.only(environment, adoption.OF_HASH)) == {"OPT", "OPTS", "HOME"}


def test_what_is_so_already_is_not_told(edited: Host) -> None:
    told = adoption.passed_over(Snapshot(edited.paths), {"USERNAME": "frida", "PORT": "443"}, (), "this")
    assert [one.where for one in told] == ["environment variable PORT"]
