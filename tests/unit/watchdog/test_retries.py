"""What failed is tried again, by whom and when; what serves is left alone meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secreg_host.apply import activate, apply, backend, faults
from secreg_host.apply.report import Report
from secreg_host.apply.wish import Wish
from secreg_host.base.errors import Later, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.observe import look as looks
from secreg_host.observe import views
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.settings import Settings
from secreg_host.watchdog import retries, watch
from secreg_host.watchdog.retries import PAUSES
from secreg_host.watchdog.watch import CHECK_SECONDS, Watcher
from tests import made

AWAY = (Problem("docker-registry.yml", "connection refused"),)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    found.etc.mkdir(parents=True)
    return found


def remaining(paths: Paths) -> float:
    found = retries.load(paths)
    assert found is not None
    return found.seconds(time.time())


@pytest.mark.promise("tries-again")
def test_pauses_grow_until_it_serves(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, pause in enumerate((*PAUSES, PAUSES[-1]), 1):
        retries.failed(paths, AWAY, start=True)
        # an apply that somebody's edit asked for: seen to put it off by a minute
        retries.failed(paths, AWAY, start=True)
        found = retries.load(paths)
        assert found is not None and (found.what, found.tries, found.start) == (AWAY, number, True)
        assert pause - 0.5 < remaining(paths) <= pause
        passed = found.next
        monkeypatch.setattr(time, "time", lambda passed=passed: passed)
    retries.failed(paths, AWAY, start=False)  # it started; something else is away now
    assert remaining(paths) <= PAUSES[0]
    retries.done(paths)
    retries.done(paths)
    assert retries.load(paths) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"what": [], "tries": 1, "start": true}', b'{"next": 1e999}'])
def test_a_record_that_is_none_is_none(paths: Paths, data: bytes) -> None:
    paths.retry.parent.mkdir(parents=True)
    paths.retry.write_bytes(data)
    assert retries.load(paths) is None


def test_a_clock_that_was_set_back_delays_nothing_for_long() -> None:
    assert retries.Retry(AWAY, 1, time.time() + 1e6, start=True).seconds(time.time()) == 0


@pytest.mark.promise("tries-again")
@pytest.mark.parametrize("start", [True, False])
def test_the_watchdog_tries_when_the_time_has_come(paths: Paths, monkeypatch: pytest.MonkeyPatch, start: bool) -> None:
    asked: list[str] = []
    watcher = Watcher(paths, lambda _: asked.append("reload"), lambda: asked.append("start"))
    retries.failed(paths, AWAY, start=start)
    watcher.look(periodic=False)
    assert asked == [] and 0 < watcher.pause <= PAUSES[0]
    monkeypatch.setattr(watch, "time", SimpleNamespace(time=lambda: time.time() + 1.5))
    watcher.look(periodic=True)
    watcher.look(periodic=False)  # an event: who was asked has not written down anything new
    assert (asked, watcher.pause) == (["start" if start else "reload"], CHECK_SECONDS)
    watcher.look(periodic=True)
    assert len(asked) == 2
    monkeypatch.setattr(retries, "time", watch.time)
    retries.failed(paths, AWAY, start=start)
    watcher.look(periodic=True)
    assert len(asked) == 2 and watcher.pause <= PAUSES[1]


@pytest.mark.parametrize(
    ("start", "wanted", "error", "kept"),
    [
        (True, False, SecregError("no space left", "free some"), True),
        (False, True, SecregError("no space left", "free some"), True),
        (False, True, ZeroDivisionError("what a file holds"), True),
        (False, True, KeyboardInterrupt(), False),
        (False, False, SecregError("no space left", "free some"), False),
    ],
)
def test_what_ends_an_apply_is_tried_again_and_in_status(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, start: bool, wanted: bool, error: BaseException, kept: bool
) -> None:
    """It could not write its own report. What is stopped is only checked, and nobody tries that again."""

    def fail(*_: Any) -> None:
        raise error

    users = SimpleNamespace(take_over=lambda **_: None, there=True, refresh=lambda: None)
    monkeypatch.setattr(apply, "Users", lambda *_: users)
    monkeypatch.setattr(apply, "_apply", fail)
    services: Any = SimpleNamespace(wanted=lambda: wanted)
    stage: Any = activate.Stage(SimpleNamespace(paths=paths), services)  # type: ignore[arg-type]
    paths.run.mkdir(parents=True)
    with pytest.raises(type(error)):
        apply.apply(stage, Wish("apply", {}, start=start))
    kept_now = retries.load(paths)
    assert (kept_now is not None) == kept and (kept_now is None or kept_now.start == start)
    accounts = SimpleNamespace(front=None, auth=None, registry=None)
    seen = looks.look(Host(paths, accounts))  # type: ignore[arg-type]
    said = [finding.problem.what for finding in seen.report.rejected]
    assert len(said) == (kept and not start) and all("no space left" in one or "a bug" in one for one in said)
    assert "what a file holds" not in views.as_text(seen) and (seen.retry is not None) == kept


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EAST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
def test_people_read_the_time_of_their_place(paths: Paths) -> None:
    report = Report("", 0.0)
    host: Any = SimpleNamespace(paths=paths)
    retry = retries.Retry(AWAY, 1, 60.0, True)
    said = views.as_text(looks.Look(host, None, report, (), "", "active", 86400.0, 86400.0, retry))
    assert "serves since 1970-01-02 09:00:00" in said and "at 09:01:00" in said


class Registry:
    """A registry's unit that dies at each start, or runs and does not answer."""

    def __init__(self, runs: bool) -> None:
        self.runs, self.did = runs, list[str]()

    def running(self, _: str) -> bool:
        return True

    def died(self, _: str) -> bool:
        return not self.runs

    def start(self, _: str) -> None:
        self.did.append("start")

    def stop(self, _: str) -> None:
        self.did.append("stop")

    def prepare_registry(self, *_: object) -> None:
        pass

    def last_words(self, _: str) -> list[str]:
        return ["panic: connection refused"]


@pytest.fixture
def generation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(backend, "wrong", lambda *_: "/v2/ is answered by HTTP 503")
    monkeypatch.setattr(faults, "of_start", lambda *_: Problem("yml", "the registry does not start", ""))
    monkeypatch.setattr(activate, "RUNNING_SECONDS", 0.0)
    monkeypatch.setattr(activate, "REGISTRY_SECONDS", 0.0)
    known = Parts(made.settings(), RegistryPart(root=None, sources=("yml",)))
    yield Generation(known, "a", {}, "one")


def test_a_registry_that_runs_is_left_alone_whatever_it_needs(paths: Paths, generation: Any) -> None:
    services = Registry(runs=True)
    stage: Any = activate.Stage(SimpleNamespace(paths=paths), services)  # type: ignore[arg-type]
    (problem,) = activate.bring_up_registry(stage, generation, proven=True)
    assert services.did == [] and "503" in problem.what
    (problem,) = activate.bring_up_registry(stage, generation)  # a new one is no good
    assert services.did == ["stop"]


def test_a_registry_that_dies_at_each_start_is_not_started_without_a_pause(paths: Paths, generation: Any) -> None:
    services = Registry(runs=False)
    paths.lib.mkdir(parents=True)
    stage: Any = activate.Stage(SimpleNamespace(paths=paths), services)  # type: ignore[arg-type]
    activate.bring_up_registry(stage, generation, proven=True)
    assert services.did[-1] == "stop"


def test_a_mount_that_is_away_is_a_problem_of_its_part(paths: Paths, generation: Any) -> None:
    class Unmounted(Registry):
        def running(self, _: str) -> bool:
            return False

        def start(self, _: str) -> None:
            raise SecregError("the unit did not start", "journalctl")

    stage: Any = activate.Stage(SimpleNamespace(paths=paths), Unmounted(runs=True))  # type: ignore[arg-type]
    paths.lib.mkdir(parents=True)
    activate.REGISTRY_SECONDS = 20.0
    assert activate.bring_up_registry(stage, generation, proven=True) == (
        Problem("yml", "the unit did not start", "journalctl"),
    )


@pytest.mark.promise("registry-elsewhere")
def test_a_registry_elsewhere_is_asked_when_it_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Settings(registry_host="127.0.0.1", registry_port=5000)
    monkeypatch.setattr("secreg_host.apply.probe.registry_wrong", lambda _: "Connection refused")
    conf = Path("secure-registry.conf")
    assert backend.problems(known, known, conf) == ()  # it may be away
    assert backend.problems(Settings(), known, conf) == ()
    (problem,) = backend.problems(Settings(registry_host="127.0.0.1", registry_port=5002), known, conf)
    assert "127.0.0.1:5002" in problem.what and "refused" in problem.what
    assert backend.problems(known, None, conf)


@pytest.mark.parametrize(
    ("said", "later"),
    [
        ("panic: dial tcp 127.0.0.1:6379: connect: connection refused", True),
        ("panic: lookup s3.lan on 10.0.0.1:53: no such host", True),
        ('level=fatal msg="configuration error: yaml: line 3: mapping values are not allowed"', False),
    ],
)
def test_a_new_registry_whose_back_end_is_away_is_tried_again(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, said: str, later: bool
) -> None:
    """And so is one elsewhere (REGISTRY_HOST)."""
    monkeypatch.setattr(faults.hosts, "registry", lambda _: Path("/usr/bin/registry"))
    monkeypatch.setattr(faults.registryprogram, "version", lambda *_: "2.8")
    host: Any = SimpleNamespace(paths=paths, accounts=SimpleNamespace(registry=None))
    known = Parts(made.settings(), RegistryPart(root=None, sources=("yml",)))
    assert isinstance(faults.of_start(host, Generation(known, "a", {}, "one"), [said]), Later) == later
    monkeypatch.setattr(backend.probe, "registry_wrong", lambda _: said)
    elsewhere = made.settings(registry_host="127.0.0.1", registry_port=5002).settings
    (problem,) = backend.problems(elsewhere, None, paths.conf)
    assert isinstance(problem, Later)
