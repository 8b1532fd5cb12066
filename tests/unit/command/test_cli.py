"""The command line: help, exit codes, one error a line with its remedy."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from secreg_host import __version__
from secreg_host.base.errors import Exit, Later, SecregError, bad_input
from secreg_host.command import cli
from secreg_host.host.host import Host
from secreg_host.watchdog import retries


@pytest.mark.promise("names-of-the-original")
def test_help_names_every_command_of_the_original(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help"]) == 0
    said = capsys.readouterr().out
    for verb in ("gencert", "help", "htpasswd", "setup", "start", "stop", "restart", "reload", "status", "uninstall"):
        assert f"\n    {verb}" in said
    for word in ("exit codes", "files:", "--root DIR", "examples:"):
        assert word in said


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out == f"secure-registry {__version__}\n"


@pytest.mark.promise("exit-codes")
def test_an_unknown_command_is_bad_input() -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["nonsense"])
    assert caught.value.code == 2


def test_errors_are_told_with_their_remedy(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (root / "etc/secure-registry").mkdir(parents=True)
    (root / "etc/secure-registry/secure-registry.conf").write_text("PORT=x\nNONSENSE=1\n")
    assert cli.main(["setup", "--root", str(root)], {}) == 2
    said = capsys.readouterr().err
    assert "secure-registry.conf:1: PORT: not a whole number" in said
    assert "secure-registry.conf:2: a setting that is not known" in said
    assert not (root / "etc/secure-registry/nginx.conf").exists(), "nothing is half-done"


def test_a_root_that_is_no_text_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Configuration that names it could not be written."""
    assert cli.main(["setup", "--root", f"{root}/b\udcf6b"], {}) == 2
    assert "--root: nginx can't take" in capsys.readouterr().err and not list(root.glob("b*"))


def test_disposable_goes_with_foreground(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["start", "--disposable", "--root", str(root)], {}) == 2
    assert "--foreground" in capsys.readouterr().err


def verbs(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Every command, and every action of one, as it is typed."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                inner = list(verbs(one))
                yield from ([name, *words] for words in inner or [needed(one)])


def needed(parser: argparse.ArgumentParser) -> list[str]:
    """The arguments that must be there."""
    return [str(action.metavar) for action in parser._actions if action.required and not action.option_strings]


VERBS = list(verbs(cli.build_parser()))


@pytest.mark.promise("options-everywhere")
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_each_command_can_be_debugged(words: list[str]) -> None:
    assert {"reload", "apply", "trust"} <= {words[0] for words in VERBS}
    for argv in ([*words, "--debug"], ["--debug", *words]):
        assert cli.build_parser().parse_args(argv).debug
    assert not hasattr(cli.build_parser().parse_args(words), "debug")


@pytest.mark.promise("options-everywhere")
@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_each_command_takes_a_root(words: list[str]) -> None:
    for argv in ([*words, "--root", "/srv/it"], ["--root", "/srv/it", *words]):
        assert cli.build_parser().parse_args(argv).root == Path("/srv/it")


@pytest.mark.usefixtures("service_users")
def test_debugging_shows_no_argument_of_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Apache's tool takes a password there."""
    assert cli.main(["htpasswd", "-nb", "alice", "hunter2", "--debug", "--root", str(root)], {}) == 0
    said = capsys.readouterr().err
    assert f"secure-registry {__version__}: htpasswd, process {os.getpid()}" in said and "exit code 0" in said
    assert "hunter2" not in said


@pytest.mark.promise("exit-codes")
@pytest.mark.parametrize(
    ("raised", "code"),
    [(bad_input("x:1", "is wrong", "correct it"), 2), (SecregError("no", "x"), 1), (KeyboardInterrupt(), 130)],
)
def test_a_command_that_fails_says_its_exit_code(
    raised: BaseException, code: int, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> int:
        raise raised

    monkeypatch.setattr(cli.load("stop"), "run", fail)
    assert cli.main(["stop", "--debug", "--root", str(root)], {}) == code
    assert capsys.readouterr().err.splitlines()[-1].endswith(f" cli: stop: exit code {code}")


@pytest.mark.parametrize(
    ("argv", "verbs"),
    [
        (["status", "--json"], ("status",)),
        (["--root", "/srv", "stop"], ("stop",)),
        (["htpasswd", "-D", "status"], ()),
        (["help", "status"], ()),
        (["--help"], ()),
        ([], ()),
    ],
)
def test_only_the_verb_that_is_typed_is_loaded(argv: list[str], verbs: tuple[str, ...]) -> None:
    """Not where that could be two: then all are there, and the parser finds out."""
    assert cli.typed(argv) == verbs


@pytest.mark.usefixtures("service_users")
def test_a_users_name_may_be_that_of_a_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["htpasswd", "-nb", "status", "secret", "--root", str(root)], {}) == 0
    assert capsys.readouterr().out.startswith("status:$")
    assert {"gencert", "trust", "uninstall"} <= set(cli.build_parser().format_help().split())


@pytest.mark.usefixtures("service_users")
def test_what_a_typed_command_can_not_do_yet_is_tried_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """dockerd is still starting when `trust install` gives up: it says that it is told by itself."""
    later = Later("docker.service", "is starting", "wait")
    known = SimpleNamespace(install=lambda *_, **__: (later,), told=lambda: ())
    monkeypatch.setattr("secreg_host.clients.trust.at", lambda *_: known)
    host.paths.lock.parent.mkdir(parents=True)
    assert cli.main(["trust", "install", "docker", "--root", str(host.paths.root)], {}) == Exit.DEGRADED
    retry = retries.load(host.paths)
    assert retry is not None and [problem.what for problem in retry.what] == ["is starting"]
