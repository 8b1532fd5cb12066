"""What an apply does when a generation can't be brought to life. The fault is forced; all else is tested on hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import activate, apply, seen
from secreg_host.apply.report import Report, findings
from secreg_host.apply.seen import Seen
from secreg_host.base.errors import Exit, Problem, SecregError
from secreg_host.host.host import Host
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.provision import Provisioned
from secreg_host.watchdog import retries


@pytest.mark.parametrize(("start", "stopped"), [(True, 1), (False, 0)])
def test_only_a_start_that_fails_stops_what_runs(monkeypatch: pytest.MonkeyPatch, start: bool, stopped: int) -> None:
    """nginx was killed a moment ago: nothing serves right now, and nothing can be proven."""
    stops: list[Any] = []

    def fail(*_: Any) -> None:
        raise SecregError("nginx ended", "")

    monkeypatch.setattr(activate, "activate", fail)
    monkeypatch.setattr(activate, "serves", lambda *_: False)
    monkeypatch.setattr(activate, "stop_all", stops.append)
    generation: Any = object()
    stage: Any = SimpleNamespace(host=None)
    with pytest.raises(SecregError, match="nginx ended"):
        apply._activate(stage, generation, generation, [], start=start)
    assert len(stops) == stopped


def test_what_changes_while_it_is_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """`mv etc old; mv new etc`: between the two nothing is there, which is no reason to say so."""
    torn = Seen(Parts(), (), {}, Provisioned(), (), "", "")
    whole = replace(torn, fingerprint="of what is there")
    first = replace(torn, provisioned=Provisioned(written=(Path("secure-registry.conf"),)))
    reads: list[Seen] = []
    monkeypatch.setattr(seen, "read", lambda *_: reads.pop(0))
    nothing: Any = None  # a host, a wish, a generation, a report

    def left(*given: Seen) -> tuple[Seen, int]:
        reads[:] = given
        return seen.take(nothing, nothing, nothing, nothing), len(reads)

    assert left(torn, whole, whole) == (whole, 1)
    assert left(torn, torn, torn, whole) == (torn, 1)  # an endless change must not hold up what is known
    assert left(first, whole) == (first, 1)  # its passwords and files are told once


@pytest.mark.parametrize(
    ("what", "counted"),
    [
        ("rehearsal: cannot write /run/x: No space left on device", ""),
        ("mkdir() failed (28: No space left on device)", ""),
        ("mkdir /srv/docker: disk quota exceeded", ""),
        ("unknown directive", "of what is there"),
    ],
)
def test_a_lack_of_room_is_no_fault_of_a_file(what: str, counted: str) -> None:
    """The watchdog asks again. Seen: nginx.conf was to blame for a full /run, and never served."""
    seen_now = Seen(Parts(), (), {}, Provisioned(), (), "of what is there", "mark")
    users: Any = SimpleNamespace(mark="mark")
    every = findings("rejected", "nginx", [Problem("nginx.conf:1", what, "mend it")])
    assert apply._counted_as_seen(seen_now, users, every) == counted


def test_what_is_pending_is_tried_again_and_holds_nothing_back(host: Host) -> None:
    """A dockerd that is starting: the watchdog looks again after pauses that grow, until it was told."""
    pending = findings("pending", "trust", [Problem("docker.service", "is starting")])
    report = Report(generation="one", findings=pending)
    assert (report.rejected, report.warnings, apply.exit_code(report)) == ((), pending, Exit.DONE)
    apply._keep(host, report, Report())
    retry = retries.load(host.paths)
    assert retry is not None and not retry.start and retry.what == (pending[0].problem,)
    apply._keep(host, replace(report, findings=()), report)
    assert retries.load(host.paths) is None
