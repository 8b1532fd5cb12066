"""Which hooks are run, how, and what they are told."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from secreg_host.apply import hooks
from secreg_host.base import process
from secreg_host.base.errors import SecregError
from secreg_host.host.host import Host

EVENTS = [("rejected", {"part": "nginx", "where": "nginx.conf:1"})]


class Programs:
    """In the place of `process.run`: what is run, for how long, with what; code: how it ends."""

    def __init__(self) -> None:
        self.ran, self.code = list[tuple[list[str], float | None, Mapping[str, str]]](), 0

    def run(
        self, argv: Sequence[str], timeout: float | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        self.ran.append((list(argv), timeout, environment or {}))
        return subprocess.CompletedProcess(argv, self.code, "", "it hurts\nno such user\n")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs()
    monkeypatch.setattr(process, "run", found.run)
    return found


@pytest.fixture
def mail(host: Host) -> Path:
    """A hook, beside what is none."""
    host.paths.hooks.mkdir(parents=True)
    for name, mode in (("mail", 0o755), ("chat.sh", 0o755), ("draft", 0o644)):
        (host.paths.hooks / name).touch()
        (host.paths.hooks / name).chmod(mode)
    (host.paths.hooks / "directory").mkdir()
    return host.paths.hooks / "mail"


def test_each_is_a_unit_of_its_own_that_nobody_waits_for(host: Host, mail: Path, programs: Programs) -> None:
    """With an end: one that hangs is not there for good."""
    assert hooks.launch(host.paths, EVENTS) == ()
    ((argv, _, _),) = programs.ran
    assert argv[0] == "systemd-run" and argv[-1] == str(mail) and "--no-block" in argv
    assert f"--property=RuntimeMaxSec={hooks.SECONDS}" in argv and hooks.SECONDS <= 60
    assert {"--setenv=SECREG_EVENT=rejected", "--setenv=SECREG_PART=nginx"} <= set(argv)


def test_without_systemd_they_have_an_end_too(host: Host, mail: Path, programs: Programs) -> None:
    assert hooks.run(host.paths, EVENTS) == ()
    told = {"SECREG_EVENT": "rejected", "SECREG_PART": "nginx", "SECREG_WHERE": "nginx.conf:1"}
    assert programs.ran == [([str(mail)], float(hooks.SECONDS), told)]


@pytest.mark.parametrize(("how", "said"), [(hooks.launch, "no such user"), (hooks.run, "no such user")])
def test_one_that_fails_is_told(host: Host, mail: Path, programs: Programs, how: object, said: str) -> None:
    assert callable(how)
    programs.code = 3
    (problem,) = how(host.paths, EVENTS)
    assert problem.where == str(mail) and said in problem.what and str(mail) in problem.hint


def test_one_that_takes_too_long_is_told(host: Host, mail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise SecregError(f"{mail} does not end within 30 s", "see what it waits for")

    monkeypatch.setattr(process, "run", late)
    (problem,) = hooks.run(host.paths, EVENTS)
    assert problem.where == str(mail)


def test_one_that_others_can_write_is_not_run_but_told(host: Host, mail: Path, programs: Programs) -> None:
    """It would run as root."""
    assert (hooks.found(host.paths), hooks.refused(host.paths)) == ((mail,), ())
    mail.chmod(0o777)
    assert hooks.found(host.paths) == ()
    (problem,) = hooks.refused(host.paths)
    assert problem.where == str(mail) and problem.hint
    assert hooks.launch(host.paths, EVENTS) == hooks.run(host.paths, EVENTS) == () and programs.ran == []
