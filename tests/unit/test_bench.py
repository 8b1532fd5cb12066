"""What `make bench` makes of figures: ratios, verdicts, tables, README's block."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import guard, hosts, pushes, results, table, targets, verbs, watch
from bench.saves import BARE, OURS
from bench.targets import FRONT, Measure

MACHINE = {"cores": "2", "cpu": "a CPU", "memory": "8 GB", "system": "Debian", "taken": "today", "nginx": "1.22.1-9"}
FIGURES = {
    "small": {"ours": 30_000.0, "original": 600.0, "registry": 25.0, "caddy": 1000.0},
    "large": {"ours": 1.0, "original": 0.5, "registry": 1.1},
    "spooled": {"ours": 0.0, "original": 400.0},
    "flood_p99": {"ours": 12.5},
}
GROWN = {"small": 1.0, "tag": 1.0, "reload": 1.0, "reload_edited": 1.0}


def some_results() -> results.Results:
    steps = {hosts.SETUP: [0.5], hosts.START: [1.0, 3.0, 9.0], hosts.STATUS: [0.2, 0.31, 0.4], hosts.RESTARTED: [0]}
    saves = {OURS: [0.3] * 98 + [0.9, 5.0], BARE: [0.1], watch.OLD: [0.27]}
    watchdog = {"resident": 27.0, "floor": 22.0, "wakeups": 3.0, "ready": 40.0}
    removed = {"nothing": 0.3, "/var full": None}
    host = {"steps": steps, "saves": saves, "watchdog": watchdog, "removed": removed}
    versions = {"http1.1": {"rate": 1.0, "cpu": 1.0}, "http2": {"rate": 0.5, "cpu": 2.0}}
    front = {"figures": FIGURES, "growth": {"10": GROWN, "10000": GROWN}, "machine": MACHINE}
    http2 = {"versions": versions, "machine": MACHINE}
    cost = {"instances": 1, "threads": 2, "own": 9.87, "resident": 20.0}
    watching = {"bookworm": {OURS: cost, watch.OLD: cost | {"instances": 3}}, "machine": MACHINE}
    found = {"front": front, "http2": http2, "hosts": {"password": {}, "bookworm": host, "machine": MACHINE}}
    begun = {verb: {OURS: 84.0, watch.OLD: 80.0} for verb in verbs.VERBS}
    backed = {
        "first": {"ours": 400.0, "rsync": 500.0},
        "verify": {"ours": 900.0, "sha256sum": 450.0},
        "again": {"ours": 5.5},
        "many_memory": {"ours": 64.0},
    }
    found["backups"] = {"figures": backed, "machine": MACHINE}
    listed = {"first": {"ours": 2.5}, "again": {"ours": 0.25}, "pulls": {"ours": 0.95}}
    found["images"] = {"figures": listed, "machine": MACHINE}
    found["pushes"] = {"figures": {"put": {"ours": 3.0, "registry": 2.4}, "times": {"ours": 1.25}}, "machine": MACHINE}
    return found | {"watchdog": watching, "verbs": begun | {"machine": MACHINE}}


def test_what_a_push_takes_is_told_by_whose_it_is() -> None:
    took = {("put", "ours"): 4.0, ("put", "registry"): 2.5, ("refused", "ours"): 1.0, ("refused", "registry"): 0.5}
    found = pushes.split(took)
    assert found["times"] == {"ours": 1.6}, "all of it beside the registry alone: what is wanted is of that"
    assert (found["front"], found["service"]) == ({"ours": 0.5}, {"ours": 1.0})
    assert found["served"]["ours"] == pytest.approx(4 / 3)
    assert {one.key for one in targets.PUSHES} == {*found}


def measure(key: str) -> Measure:
    return next(one for one in FRONT if one.key == key)


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    assert measure("small").ratio(FIGURES["small"], "original") == 50
    assert measure("upload").ratio({"ours": 2.0, "original": 3.0}, "original") == 1.5
    assert measure("upload").ratio({"original": 3.0}, "original") is None


def test_those_run_in_turn_are_judged_by_the_median_of_neighbours() -> None:
    turns = {"ours": [1.0, 2.0, 1.0], "old": [1.0, 2.0, 2.0], "limit": [2.0, 4.0, 2.0]}
    pairs = measure("large").pairs(turns)
    assert pairs == {"old": 1.0, "limit": 0.5}
    values = {"ours": 0.9, "old": 1.0}
    assert [one.met for one in measure("large").verdicts(values)] == [False]
    assert [one.met for one in measure("large").verdicts(values, pairs)] == [True]
    assert measure("upload").pairs({"ours": [1.0, 2.0], "old": [2.0, 4.0]}) == {"old": 2.0}
    found = some_results()
    found["front"]["pairs"] = {"small": {"caddy": 41.0}}
    assert "| blob of 10 KB | ≥ 40 times Caddy | 41.0 times | yes |" in table.report(found)
    assert " 1,000 (41x) |" in table.report(found)


@pytest.mark.parametrize(
    ("key", "met"),
    [("small", [True, False, True]), ("large", [True, False]), ("spooled", [True]), ("flood_p99", [False])],
)
def test_verdicts(key: str, met: list[bool]) -> None:
    assert [verdict.met for verdict in measure(key).verdicts(FIGURES[key])] == met


def test_figures_have_three_digits() -> None:
    written = [table.figure(value) for value in (33_333.3, 0.012345, 0.0, 620.0, None)]
    assert written == ["33,300", "0.0123", "0", "620", "-"]


def test_p99_is_the_value_that_one_of_a_hundred_is_above() -> None:
    assert (table.percentile(range(1, 101), 99), table.percentile([3.0], 99)) == (99, 3.0)


def test_the_report_names_what_was_missed() -> None:
    text = table.report(some_results())
    assert "| blob of 10 KB (requests/s) | 30,000 | 600 (50x) | 25 (1,200x) | 1,000 (30x) |" in text
    assert "| blob of 10 KB | ≥ 40 times original's layout | 50.0 times | yes |" in text
    assert "| blob of 10 KB | ≥ 40 times Caddy | 30.0 times | **no** |" in text
    assert f"| {hosts.START} (bookworm) | ≤ 2 s | 3.00 s | **no** |" in text
    assert "| status (bookworm) | ≤ 0.3 s | 0.31 s | **no** |" in text and f"| {hosts.AGAIN} (" not in text
    assert "p99 (bookworm) | ≤ 1 s | 0.90 s | yes |" in text
    assert "| save → new certificate served (bookworm) | ≥ 0.95 times version 0.1 | 0.90 times | **no** |" in text
    assert "| a removed user is out, 2 obstacles (bookworm) | ≤ 1 s | - s (/var full) | **no** |" in text
    assert "| watchdog resident (bookworm) | ≤ 26.0 MB (22.0 + 4) | 27.0 MB | **no** |" in text


def test_what_it_costs_to_watch_is_told_of_both_versions() -> None:
    for text in (table.report(some_results()), table.readme(some_results())):
        assert "| the watchdog | secure-registry, bookworm | version 0.1, bookworm |" in text
        assert "| instances of inotify | 1 | 3 |" in text and "| memory of its own (MB) | 9.87 | 9.87 |" in text


def test_lists_of_images_have_targets() -> None:
    text = table.verdicts(some_results())
    assert "| images list, 10,000 repositories | ≤ 2 s | 2.5 s | **no** |" in text, text
    assert "| … again | ≤ 0.5 s | 0.25 s | yes |" in text and "## Images" in table.report(some_results())
    assert "| pulls while space is freed, of those without | ≥ 0.9 times | 0.95 times | yes |" in text


def test_manifests_that_are_put_have_a_target() -> None:
    text = table.verdicts(some_results())
    assert "| … in times of the registry alone | ≤ 1.2 times | 1.25 times | **no** |" in text, text
    assert "| a manifest is put, over a connection that is kept (ms) | 3 | 2.4 |" in table.report(some_results())


def test_backups_are_beside_the_tools() -> None:
    for text in (table.report(some_results()), table.readme(some_results())):
        assert "| first backup, which hashes (MB/s) | 400 | 500 | - |" in text
    text = table.verdicts(some_results())
    assert "| first backup, which hashes | ≥ 0.7 times `rsync -a` | 0.80 times | yes |" in text
    assert "| proving it | ≥ 0.8 times `xargs -P2 sha256sum` | 2.00 times | yes |" in text
    assert "| backup with nothing new, 50,000 blobs | ≤ 5 s | 5.5 s | **no** |" in text
    assert "| … its memory | ≤ 100 MB | 64 MB | yes |" in text


def test_a_part_that_was_not_measured_is_left_out() -> None:
    found = some_results()
    del found["front"]
    assert "Side by side" not in table.report(found) and "Side by side" not in table.readme(found)


def test_numbers_go_between_readmes_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{results.BEGIN}\nold\n{results.END}\n\nafter\n")
    results.into_readme("new\n", readme)
    assert readme.read_text() == f"before\n\n{results.BEGIN}\nnew\n{results.END}\n\nafter\n"
    readme.write_text("no markers")
    with pytest.raises(RuntimeError, match="markers|lines"):
        results.into_readme("new", readme)


def test_readme_has_the_markers() -> None:
    text = results.README.read_text()
    assert text.count(results.BEGIN) == text.count(results.END) == 1


def test_a_command_that_begins_more_slowly_is_told() -> None:
    found = some_results()
    assert "| time of `ask` | ≤ 1.05 times version 0.1 | 1.05 times | yes |" in table.verdicts(found)
    found["verbs"]["ask"][OURS] = 85.0
    assert "| time of `ask` | ≤ 1.05 times version 0.1 | 1.06 times | **no** |" in table.verdicts(found)


def record_of(**small: float) -> results.Results:
    return {"front": {"figures": {"small": small}, "machine": MACHINE}}


def test_a_ratio_that_became_much_worse_is_named() -> None:
    before = record_of(ours=300.0, caddy=10.0, registry=1.0)
    now = record_of(ours=255.0, caddy=10.1, registry=0.85)
    assert [(one.title, one.peer, one.before, round(one.now)) for one in guard.worse(now, before)] == [
        ("blob of 10 KB", "Caddy", 30.0, 25)
    ]
    now["front"]["machine"] = MACHINE | {"cores": "64"}
    assert guard.worse(now, before) == [], "figures of another kind of machine"
    assert guard.worse({}, before) == []


def test_a_version_is_beside_the_last_one_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "__version__", "0.10.0")
    now, other = record_of(ours=1.0), record_of(ours=2.0)
    for version, record in (("0.9.0", now), ("0.10.0", other), ("0.8.0", other), ("1.0.0", other)):
        (tmp_path / f"{version}.json").write_text(json.dumps(record))
    assert results.earlier(now, tmp_path) == ("0.9.0", now)
    elsewhere = {"front": {"figures": {}, "machine": MACHINE | {"cpu": "another"}}}
    (tmp_path / "0.9.0.json").write_text(json.dumps(elsewhere))
    assert results.earlier(now, tmp_path) == ("0.8.0", other)
    assert results.earlier({}, tmp_path) is None


def test_this_version_and_the_one_before_have_records() -> None:
    assert results.RECORD.exists() and results.earlier(results.load()) is not None


def test_the_report_says_what_became_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "earlier", lambda _: ("0.1.0", record_of(ours=30_000.0, original=100.0, caddy=1000.0)))
    assert "| blob of 10 KB | original's layout | 300x | 50x |" in table.report(some_results())
    monkeypatch.setattr(results, "earlier", lambda _: ("0.1.0", record_of(ours=30_000.0, original=600.0)))
    assert "No ratio is more than 15% below that of 0.1.0" in table.report(some_results())
