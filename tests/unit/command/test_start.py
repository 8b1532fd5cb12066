"""`start` lets the service start with the host, too, unless it is told not to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import apply
from secreg_host.command import cli, instance, printing
from secreg_host.command.call import Call
from secreg_host.command.verbs import start
from secreg_host.host.host import Host
from secreg_host.wanted import provision


@pytest.mark.promise("start-enables")
@pytest.mark.parametrize(
    ("argv", "did"),
    [(["start"], ["start", "enable"]), (["start", "--no-enable"], ["start"])],
)
def test_start_enables_unless_it_is_told_not_to(
    host: Host, monkeypatch: pytest.MonkeyPatch, argv: list[str], did: list[str]
) -> None:
    done: list[str] = []
    found: Any = SimpleNamespace(host=host, services=None, follow=None)
    found.start = lambda: done.append("start")
    found.enable = lambda: done.append("enable")
    monkeypatch.setattr(instance, "startable", lambda _: found)
    monkeypatch.setattr(provision, "check", lambda *_: None)
    monkeypatch.setattr(apply, "apply", lambda *_: SimpleNamespace(findings=()))
    monkeypatch.setattr(printing, "provisioned", lambda *_: None)
    monkeypatch.setattr(printing, "serving", lambda _: 0)
    parser = cli.build_parser()
    args = parser.parse_args(argv)
    assert start.run(Call(args, host.paths, {}, parser)) == 0 and done == did
