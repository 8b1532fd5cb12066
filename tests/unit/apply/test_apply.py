"""The one path: what an apply lets serve, finds and remembers. What runs is in memory (tests/world.py), or forced."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import activate, apply, clientproof, portconflicts, seen, storeproof
from secreg_host.apply import report as reports
from secreg_host.apply.portconflicts import Conflict
from secreg_host.apply.report import Report, findings
from secreg_host.apply.seen import Seen
from secreg_host.apply.wish import Wish
from secreg_host.base import files, records
from secreg_host.base.errors import BadInput, Exit, Problem, SecregError
from secreg_host.base.records import Write
from secreg_host.formats.listening import Listen
from secreg_host.generation import generations
from secreg_host.generation.liveusers import LiveUsers
from secreg_host.host.host import Host
from secreg_host.wanted import sources
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.provision import Provisioned
from secreg_host.watchdog import retries
from tests import made
from tests.world import World


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
    nothing: Any = None  # a host, a wish, a generation

    def left(*given: Seen) -> tuple[Seen, int]:
        reads[:] = given
        return seen.take(nothing, nothing, nothing, Report()), len(reads)

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
    users.mark = "of another one by now"
    assert apply._counted_as_seen(seen_now, users, every) == ""


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


ALICE, BOB = (f"{name}:$6$salt${'A' * 86}\n".encode() for name in ("alice", "bob"))
OLD, NEW = made.parts(), made.parts(made.nginx("# two"))


class Etc:
    """What /etc says to an apply of `world`: parts as they were read, and .htpasswd."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.parts, self.found = world, OLD, findings("warning", "users", ())
        monkeypatch.setattr(apply, "take", self.take)
        world.host.paths.etc.mkdir(parents=True)
        world.host.paths.htpasswd.write_bytes(ALICE + BOB)

    def take(self, *_: Any) -> Seen:
        mark = sources.users_mark(self.world.host.paths)
        return Seen(self.parts, self.found, {}, Provisioned(), (), f"of {id(self.parts)}", mark)

    def apply(self, *, start: bool = False, renew: bool = False) -> Report:
        self.world.asked.clear()
        return apply.apply(self.world.stage, Wish("start" if start else "reload", {}, start=start, renew=renew))


@pytest.fixture
def etc(world: World, monkeypatch: pytest.MonkeyPatch) -> Etc:
    return Etc(world, monkeypatch)


def users_of(world: World) -> tuple[bytes | None, bool]:
    live = LiveUsers(world.host)
    return live.read(), bool(live.epoch) and live.proven == live.epoch == world.epoch


def test_a_start_serves_and_is_remembered(etc: Etc, world: World) -> None:
    report = etc.apply(start=True)
    assert world.names == (report.generation,) * 3 and report.generation
    assert (report.findings, report.changed, report.count, report.by) == ((), True, 2, "start")
    assert users_of(world) == (ALICE + BOB, True)
    kept = reports.load(world.host.paths)
    assert (kept.generation, kept.fingerprint, kept.checked) == (report.generation, report.fingerprint, report.checked)
    again = etc.apply()
    assert (again.generation, again.changed, again.fresh, world.asked) == (report.generation, False, (), [])


def test_what_is_stopped_is_only_checked(etc: Etc, world: World) -> None:
    world.live = False
    report = etc.apply()
    assert (report.generation, world.asked, generations.current_name(world.host)) == ("", [], None)
    assert report.checked and LiveUsers(world.host).read() is None


def test_users_never_go_back(etc: Etc, world: World) -> None:
    """Not even with a generation that does."""
    before = etc.apply(start=True)
    etc.parts = NEW
    new = world.staged(NEW)
    world.unserved[new.front] = "no answer"
    world.host.paths.htpasswd.write_bytes(ALICE)
    report = etc.apply()
    assert report.generation == before.generation and world.names == (before.generation,) * 3
    assert [(one.kind, one.part) for one in report.rejected] == [("unproven", "nginx")]
    assert users_of(world) == (ALICE, True) and apply.exit_code(report) == Exit.DEGRADED


def test_users_whom_another_run_began_with_are_told(etc: Etc, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on hosts that were upgraded: "nobody can log in", for this run had read before the other one wrote."""
    etc.apply(start=True)
    live = LiveUsers(world.host)
    live.shut()

    def take(*_: Any) -> Seen:
        live.write(ALICE + BOB)
        return etc.take()

    monkeypatch.setattr(apply, "take", take)
    assert etc.apply().count == 2
    assert users_of(world) == (ALICE + BOB, True)


def test_a_removed_user_is_out_whatever_is_raised(etc: Etc, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    etc.apply(start=True)
    world.host.paths.htpasswd.write_bytes(ALICE)

    def fail(*_: Any) -> Seen:
        assert users_of(world) == (ALICE, True), "before any other file is read"
        raise BadInput([Problem("nginx.conf", "can't be read", "mend it")])

    monkeypatch.setattr(apply, "take", fail)
    with pytest.raises(BadInput):
        etc.apply()
    assert users_of(world) == (ALICE, True)
    retry = retries.load(world.host.paths)
    assert retry is not None and retry.what[0].where == "nginx.conf" and not retry.start


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("written", "the registry can't use rootdirectory None: an upload is answered by HTTP 500"),
        ("read", "a list of its images is answered by HTTP 500"),
    ],
)
def test_a_store_that_can_not_be_used_is_told_and_serves(etc: Etc, world: World, what: str, said: str) -> None:
    setattr(world, what, lambda: said.rpartition(": ")[2])
    report = etc.apply(start=True)
    assert [(one.kind, one.part) for one in report.findings] == [("unproven", "registry")]
    assert report.findings[0].problem.what.startswith(said) and report.findings[0].problem.hint
    assert world.names == (report.generation,) * 3 and apply.exit_code(report) == Exit.DEGRADED
    assert etc.apply().findings == report.findings
    setattr(world, what, lambda: "")
    assert etc.apply().findings == (), "what was wrong with it is looked at again though nothing changed"


def test_a_store_is_not_asked_each_time(etc: Etc, world: World) -> None:
    """Only at a start, after a change, and while it is not as it should be."""
    etc.apply(start=True)
    world.written = lambda: pytest.fail("nothing changed")
    etc.apply()


def test_a_front_that_is_on_its_way_back_is_no_fault_of_the_store(etc: Etc, world: World) -> None:
    said = iter([storeproof.Unreached("an upload is not answered"), storeproof.Unreached("no"), ""])
    world.written = lambda: next(said, "")
    assert etc.apply(start=True).findings == ()


def test_a_registry_that_is_away_is_tried_again(etc: Etc, world: World) -> None:
    etc.apply(start=True)
    world.mute.add("registry@a")
    etc.parts = NEW
    report = etc.apply()
    assert [(one.kind, one.part) for one in report.findings] == [("away", "registry")]
    assert retries.load(world.host.paths) is not None and apply.exit_code(report) == Exit.DEGRADED
    world.mute.clear()
    assert etc.apply().findings == () and retries.load(world.host.paths) is None


@pytest.mark.promise("tries-again")
@pytest.mark.parametrize(
    ("problem", "again"),
    [
        (Conflict(Listen("", 8500), "port 8500 is used by x", "another", "or stop that").problems[0], True),
        (portconflicts.OwnWay(Listen("", 8500), "nginx can't listen on it", "restart").problems[0], False),
        (Problem("nginx.conf:1", "unknown directive"), False),
    ],
)
def test_what_others_are_in_the_way_of_is_tried_again(etc: Etc, world: World, problem: Problem, again: bool) -> None:
    """Seen: a PORT that another process had: that ended, and nothing was tried, though status still named it."""
    etc.apply(start=True)
    etc.parts = NEW
    world.bad = lambda _: (problem,)
    report = etc.apply()
    assert [(one.kind, one.later) for one in report.rejected] == [("rejected", again)]
    assert reports.load(world.host.paths).record == report.record, "what was kept is what was found"
    retry = retries.load(world.host.paths)
    assert (retry is not None and [one.what for one in retry.what]) == (again and [problem.what])
    world.live = False
    assert etc.apply().later == report.later and retries.load(world.host.paths) == retry, "what does not run waits"
    world.live, world.bad = True, lambda _: ()
    assert etc.apply().changed and retries.load(world.host.paths) is None


def test_what_is_rejected_serves_on_and_is_told_once(etc: Etc, world: World) -> None:
    before = etc.apply(start=True)
    etc.parts = NEW
    world.bad = lambda _: (Problem("nginx.conf:1", "unknown directive", "correct it"),)
    report = etc.apply()
    assert report.generation == before.generation == world.names[2] and apply.exit_code(report) == Exit.BAD_INPUT
    assert [(one.kind, one.part) for one in report.fresh] == [("rejected", "nginx")]
    again = etc.apply()
    assert (again.fresh, again.rejected) == ((), report.rejected)
    world.bad = lambda _: ()
    mended = etc.apply()
    assert (mended.fresh, mended.gone, mended.rejected) == ((), report.rejected, ()) and mended.changed


def test_a_first_start_that_fails_leaves_nothing(etc: Etc, world: World) -> None:
    """The port stays closed, and it is tried again."""
    world.login = "a right password is answered by HTTP 500"
    with pytest.raises(SecregError, match="HTTP 500"):
        etc.apply(start=True)
    assert (world.up_now, generations.current_name(world.host)) == (set(), None)
    retry = retries.load(world.host.paths)
    assert retry is not None and retry.start


def test_a_program_that_was_replaced_is_renewed(etc: Etc, world: World) -> None:
    etc.apply(start=True)
    world.old = {"nginx", "auth"}
    assert etc.apply().findings == () and world.asked == ["renew auth", "renew nginx"]


@pytest.mark.promise("gc-under-a-cache")
def test_a_registry_moves_to_another_slot_where_it_is_asked_to(etc: Etc, world: World) -> None:
    """It remembers what is gone. The one before ends once nginx passes requests on to the next."""
    first = etc.apply(start=True)
    assert etc.apply().generation == first.generation and world.slots() == {"a"}
    report = etc.apply(renew=True)
    assert report.findings == () and report.generation != first.generation and world.slots() == {"b"}
    assert world.asked.index("reload nginx") < world.asked.index("stop registry@a")


def test_a_password_check_that_hangs_is_told(etc: Etc, world: World) -> None:
    world.login = clientproof.Late("the password check does not answer within 10 s")
    report = etc.apply(start=True)
    assert [(one.kind, one.part) for one in report.findings] == [("unproven", "users")]
    assert world.names == (report.generation,) * 3


def test_what_crashes_left_ends(etc: Etc, world: World) -> None:
    """A registry of a run that was killed, and an apply that did not come to its proof."""
    old = etc.apply(start=True)
    new = world.staged(NEW, "b")
    world.start("registry@b")
    generations.flip(world.host, new.name)
    report = etc.apply()
    assert (report.generation, world.slots()) == (old.generation, {"a"}) and world.names == (old.generation,) * 3


def test_a_removed_user_is_out_before_the_lock_is_had(etc: Etc, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody holds it, and .htpasswd changes meanwhile."""
    etc.apply(start=True)
    answers, really = iter([False, False, False, True]), files._taken

    def taken(descriptor: int, path: Path) -> bool:
        if path != world.host.paths.lock:
            return really(descriptor, path)
        world.host.paths.htpasswd.write_bytes(ALICE)
        return next(answers)

    def take(*given: Any) -> Seen:
        assert users_of(world) == (ALICE, True)
        return etc.take(*given)

    monkeypatch.setattr(files, "_taken", taken)
    monkeypatch.setattr(apply, "take", take)
    assert etc.apply().count == 1


def test_a_removed_user_is_out_while_something_is_tried(etc: Etc, world: World) -> None:
    etc.apply(start=True)
    seen_then = list[tuple[bytes | None, bool]]()

    def bad(_: object) -> tuple[Problem, ...]:
        seen_then.append(users_of(world))
        world.host.paths.htpasswd.write_bytes(ALICE)
        return (Problem("nginx.conf:1", "unknown directive", "correct it"),)

    world.bad, etc.parts = bad, made.parts(made.nginx("# two"), made.registry("version: 0.1\n# two"))
    etc.apply()
    assert len(seen_then) >= 2 and seen_then[:2] == [(ALICE + BOB, True), (ALICE, True)]


def test_users_who_are_gone_from_memory_are_brought_back(etc: Etc, world: World) -> None:
    etc.apply(start=True)
    shutil.rmtree(LiveUsers(world.host).directory)
    etc.apply()
    assert users_of(world) == (ALICE + BOB, True)


def test_what_a_crash_left_is_finished_or_removed(etc: Etc, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    etc.apply(start=True)
    paths = world.host.paths
    with monkeypatch.context() as killed:
        killed.setattr(records, "redo", lambda _: None)
        records.write_together(paths, [Write(paths.crt, b"new")])
    (paths.generations / ".stage-killed").mkdir()
    etc.apply()
    assert paths.crt.read_bytes() == b"new" and not (paths.generations / ".stage-killed").exists()
