"""Tables in Markdown, from results."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from bench import costs, facts, guard, hosts, targets, verbs, watch
from bench import results as records
from bench.results import PLOT, RECORD, Results
from bench.saves import BARE, OURS
from bench.targets import FRONT, GROWTH, PEERS, Measure, Values

SAVED_MEDIAN, SAVED_WORST = 0.4, 1.0
OVER_FLOOR = 4.0
RATIOS = "Medians of several rounds, each peer in turn; in brackets how many times better secure-registry is."
WATCHDOG = (
    ("watchdog, resident (MB)", "resident"),
    ("a Python that has only imported its libraries (MB)", "floor"),
    ("wake-ups of the watchdog per idle minute", "wakeups"),
    ("what is ready for an apply, resident (MB)", "ready"),
)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(value: float | None) -> str:
    """Three digits, as people write them."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{float(f'{value:.3g}'):,.10g}"


def front(results: Results) -> str:
    """Every measure, each peer."""
    rows = [_row(measure, *measure.seen(results["front"])) for measure in FRONT]
    return markdown(["", *PEERS.values()], rows)


def _row(measure: Measure, values: Values, pairs: Values) -> list[str]:
    """Ours, then the others, with how many times better ours is."""
    cells = []
    for peer in PEERS:
        ratio = measure.ratio(values, peer, pairs) if peer != targets.OURS else None
        cells.append(figure(values.get(peer)) + (f" ({times(ratio)})" if ratio else ""))
    return [f"{measure.title} ({measure.unit})", *cells]


def times(ratio: float) -> str:
    """A ratio as tables have it."""
    return f"{ratio:,.{0 if ratio >= 10 else 1 if ratio >= 2 else 2}f}x"


def verdicts(results: Results) -> str:
    """Targets beside what was reached."""
    rows = _measured(results)
    for release, found in releases(results):
        for step, limit in hosts.WANTED.items():
            if step not in found["steps"]:
                continue
            value = statistics.median(found["steps"][step])
            rows.append([f"{step} ({release})", f"≤ {limit:g} s", f"{value:.2f} s", _yes(met=value <= limit)])
        restarted = max(found["steps"][hosts.RESTARTED])
        rows.append([f"{hosts.RESTARTED} ({release})", "0", figure(restarted), _yes(met=restarted == 0)])
        saved = found["saves"][OURS]
        for name, value, limit in (
            ("median", statistics.median(saved), SAVED_MEDIAN),
            ("p99", percentile(saved, 99), SAVED_WORST),
        ):
            row = [f"save → new certificate served, {name} ({release})", f"≤ {limit:g} s", f"{value:.2f} s"]
            rows.append([*row, _yes(met=value <= limit)])
        if watch.OLD in found["saves"]:
            ratio = statistics.median(found["saves"][watch.OLD]) / statistics.median(saved)
            factor = targets.AS_BEFORE[1]
            row = [f"save → new certificate served ({release})", f"≥ {factor:g} times {watch.OLD}"]
            rows.append([*row, f"{ratio:.2f} times", _yes(met=ratio >= factor)])
        if removed := found.get("removed"):
            worst = max(removed, key=lambda name: removed[name] or float("inf"))
            row = [f"a removed user is out, {len(removed)} obstacles ({release})", f"≤ {hosts.REMOVED:g} s"]
            met = (removed[worst] or 9) <= hosts.REMOVED
            rows.append([*row, f"{figure(removed[worst])} s ({worst})", _yes(met=met)])
        memory, floor = found["watchdog"]["resident"], found["watchdog"]["floor"]
        limit = floor + OVER_FLOOR
        row = [f"watchdog resident ({release})", f"≤ {limit:.1f} MB ({floor:.1f} + {OVER_FLOOR:g})", f"{memory:.1f} MB"]
        rows.append([*row, _yes(met=memory <= limit)])
    if "verbs" in results:
        for verb, ratio in verbs.ratios(results["verbs"]).items():
            row = [f"time of `{verb}`", f"≤ {verbs.MOST:g} times {watch.OLD}", f"{ratio:.2f} times"]
            rows.append([*row, _yes(met=ratio <= verbs.MOST)])
    return markdown(["measure", "wanted", "reached", "met"], rows)


def _measured(results: Results) -> list[list[str]]:
    """The rows of what has a Measure."""
    measured: list[tuple[Measure, Values, Values]] = []
    if "front" in results:
        measured += [(one, *one.seen(results["front"])) for one in FRONT]
    if "backups" in results:
        measured += [(one, *one.seen(results["backups"])) for one in targets.BACKUPS]
    if "images" in results:
        measured += [(one, *one.seen(results["images"])) for one in targets.IMAGES]
    if "pushes" in results:
        measured += [(one, *one.seen(results["pushes"])) for one in targets.PUSHES]
    if "flood" in results:
        measured += [(one, _ours(results["flood"], one), targets.NONE) for one in targets.FLOOD]
    return [
        [one.title, verdict.wanted, verdict.reached, _yes(met=verdict.met)]
        for one, values, pairs in measured
        for verdict in one.verdicts(values, pairs)
    ]


def _yes(*, met: bool) -> str:
    return "yes" if met else "**no**"


def growth(results: Results) -> str:
    """With few and with many repositories."""
    grown = results["front"]["growth"]
    rows = [
        [f"{one.title} ({one.unit})", *(figure(grown[count].get(one.key)) for count in (targets.FEW, targets.MANY))]
        for one in GROWTH
    ]
    return markdown(["", "10 repositories", "10,000 repositories"], rows)


def http2(results: Results) -> str:
    """The versions of HTTP."""
    found = results["http2"]["versions"]
    rows = [
        [f"three blobs of 400 MB at a time ({unit})", *(figure(of[key]) for of in found.values())]
        for key, unit in (("rate", "GB/s"), ("cpu", "CPU s per GB"))
    ]
    return markdown(["", *found], rows)


def flood(results: Results) -> str:
    """A flood of wrong passwords, and one of connections: what is left for others, and the legend."""
    found = results["flood"]
    rows = [
        [
            f"{one.title} ({one.unit})",
            figure(_ours(found, one).get(targets.OURS)),
            f"≤ {one.bound:g}" if one.bound is not None else "-",
        ]
        for one in targets.FLOOD
    ]
    return markdown(["", "reached", "wanted"], rows) + "\n\n" + targets.FLOOD_LEGEND.format(**found["size"])


def backups(results: Results) -> str:
    """Backups beside the tools, and the legend."""
    figures = results["backups"]["figures"]
    names = {targets.OURS: PEERS[targets.OURS], **targets.TOOLS}
    rows = [
        [f"{one.title} ({one.unit})", *(figure(figures.get(one.key, {}).get(name)) for name in names)]
        for one in targets.BACKUPS
    ]
    return markdown(["", *names.values()], rows) + "\n\n" + targets.BACKUPS_LEGEND


def images(results: Results) -> str:
    """Lists of images."""
    figures = results["images"]["figures"]
    rows = [[f"{one.title} ({one.unit})", figure(figures.get(one.key, {}).get(targets.OURS))] for one in targets.IMAGES]
    return markdown(["", PEERS[targets.OURS]], rows)


def pushes(results: Results) -> str:
    """Manifests that are put."""
    figures = results["pushes"]["figures"]
    names = (targets.OURS, "registry")
    rows = [
        [f"{one.title} ({one.unit})", *(figure(figures.get(one.key, {}).get(name)) for name in names)]
        for one in targets.PUSHES
    ]
    return markdown(["", *(PEERS[name] for name in names)], rows)


def _ours(found: dict[str, Any], measure: Measure) -> dict[str, float]:
    """A figure that there is of this version alone."""
    value = found["figures"].get(measure.key)
    return {} if value is None else {targets.OURS: value}


def releases(results: Results) -> list[tuple[str, Any]]:
    """Figures of booted hosts, by release."""
    found = results.get("hosts", {})
    return [(name, value) for name, value in found.items() if isinstance(value, dict) and "steps" in value]


def host(results: Results) -> str:
    """Setup, start, reload on booted hosts; the watchdog beside a bare path unit."""
    found = releases(results)
    steps = found[0][1]["steps"]
    rows = []
    for step in steps:
        title = step if step == hosts.RESTARTED else f"{step} (s)"
        rows.append([title, *(figure(statistics.median(value["steps"][step])) for _, value in found)])
    for name in (OURS, watch.OLD, BARE):
        saved = [value["saves"].get(name, []) for _, value in found]
        served = f"save → new certificate served, {name}"
        rows.append([f"{served}: median (s)", *(figure(statistics.median(some) if some else None) for some in saved)])
        rows.append([f"{served}: p99 (s)", *(figure(percentile(some, 99) if some else None) for some in saved)])
    for title, key in WATCHDOG:
        rows.append([title, *(figure(value["watchdog"][key]) for _, value in found)])
    for obstacle in found[0][1].get("removed", {}):
        seconds = [value["removed"][obstacle] for _, value in found]
        rows.append([f"a removed user is out: {obstacle} (s)", *map(figure, seconds)])
    return markdown(["", *(name for name, _ in found)], rows)


def watching(results: Results) -> str:
    """What the watchdog costs, of this version and of the one before."""
    found = {name: of for name, of in results["watchdog"].items() if name != "machine"}
    versions = [(release, version) for release in found for version in found[release]]
    rows = [[title, *(figure(found[one][version][key]) for one, version in versions)] for title, key in costs.ROWS]
    return markdown(["the watchdog", *(f"{version}, {release}" for release, version in versions)], rows)


def percentile(values: Sequence[float], of: int) -> float:
    """The value that `of` percent of all are not above (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * of // 100) - 1)]


def report(results: Results) -> str:
    """The whole page: bench/results/results.md."""
    parts = ["# Results of `make bench`", f"Written by `make bench`; the record is {RECORD.name}."]
    if "front" in results:
        parts += [
            "## Side by side",
            _where(results["front"]),
            f"![the front and its peers]({PLOT.name})",
            RATIOS,
            front(results),
            targets.LEGEND,
            "## Growth",
            growth(results),
        ]
    if "http2" in results:
        told = "nginx.conf as it comes speaks HTTP/1.1. The same pulls with `http2` in its `listen`:"
        parts += ["## HTTP/2", _where(results["http2"]), told, http2(results)]
    if "flood" in results:
        parts += ["## Floods", _where(results["flood"]), flood(results)]
    if releases(results):
        parts += ["## On booted hosts", _where(results["hosts"]), host(results)]
    if "watchdog" in results:
        parts += ["## What it costs to watch", _where(results["watchdog"]), watching(results)]
    if "backups" in results:
        parts += ["## Backups", _where(results["backups"]), backups(results)]
    if "images" in results:
        parts += ["## Images", _where(results["images"]), images(results)]
    if "pushes" in results:
        parts += ["## Pushes", _where(results["pushes"]), pushes(results)]
    parts += ["## Targets", verdicts(results)]
    if (before := records.earlier(results)) is not None:
        parts += [f"## Worse than {before[0]}", worsened(results, *before)]
    return "\n\n".join(parts) + "\n"


def worsened(results: Results, version: str, record: Results) -> str:
    """Which ratios are much below those in the record of an earlier version."""
    rows = [[one.title, one.peer, times(one.before), times(one.now)] for one in guard.worse(results, record)]
    if not rows:
        return f"No ratio is more than {guard.MUCH:.0%} below that of {version} on the same kind of machine."
    return markdown(["", "beside", f"{version} was better", "this version is better"], rows)


def _where(part: dict[str, Any]) -> str:
    return f"{facts.describe(part['machine'])}. Taken {part['machine']['taken']}."


def readme(results: Results) -> str:
    """The short form that README shows."""
    parts = []
    if "front" in results:
        parts += [
            f"Side by side in one run, on {facts.describe(results['front']['machine'])}:",
            f"![the front and its peers](bench/results/{PLOT.name})",
            RATIOS,
            front(results),
            targets.LEGEND,
            "Ten thousand repositories instead of ten:",
            growth(results),
        ]
    if "flood" in results:
        parts += [f"While others flood it ({facts.describe(results['flood']['machine'])}):", flood(results)]
    if releases(results):
        parts += [f"On booted hosts ({facts.describe(results['hosts']['machine'])}):", host(results)]
    if "watchdog" in results:
        parts += ["What it costs to watch, after a change went through:", watching(results)]
    if "backups" in results:
        parts += [f"Backups ({facts.describe(results['backups']['machine'])}):", backups(results)]
    if "images" in results:
        parts += [f"Images ({facts.describe(results['images']['machine'])}):", images(results)]
    parts.append("All of it, with targets and what was met: [bench/results](bench/results/results.md).")
    return "\n\n".join(parts)
