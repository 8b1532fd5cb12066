"""What is measured on the front, in which unit, and what it should come to: ratios within one run, or plain bounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OURS = "ours"
PEERS = {"ours": "secure-registry", "original": "original's layout", "registry": "registry alone", "caddy": "Caddy",
         "old": "version 0.1", "limit": "the limit"}  # fmt: skip
"""Keys of the peers in results, and what tables and plots call them."""

TOOLS = {"rsync": "`rsync -a`", "sha256sum": "`xargs -P2 sha256sum`"}
"""What backups are measured beside."""

AS_BEFORE = ("old", 0.95)
"""A rate that no version may lose."""

BLOB_LIMIT, MANIFEST_LIMIT = ("limit", 0.6), ("limit", 0.28)
"""The parts of the limit that no version may lose."""

PAIRED = (AS_BEFORE, BLOB_LIMIT, MANIFEST_LIMIT)
"""Targets where a few percent count."""

Values = Mapping[str, float]
"""One measure's figure of each peer; or what ours is beside each, in times."""

NONE: Values = {}


@dataclass(frozen=True)
class Measure:
    """One row of the table; `factors` are the ratios wanted over peers, `bound` what ours may be at the most, `least`
    what it must be."""

    key: str
    title: str
    unit: str
    more_is_better: bool = False
    factors: tuple[tuple[str, float], ...] = ()
    bound: float | None = None
    least: float | None = None
    plotted: bool = True

    def ratio(self, values: Values, peer: str, pairs: Values = NONE) -> float | None:
        """How many times better ours is than `peer`, as `pairs` has it, or else by its figure and ours in `values`;
        None where that is not a number."""
        if peer in pairs:
            return pairs[peer]
        ours, its = values.get(OURS), values.get(peer)
        if not ours or not its:
            return None
        return ours / its if self.more_is_better else its / ours

    def seen(self, part: Mapping[str, Mapping[str, Values]]) -> tuple[Values, Values]:
        """Its figures, and what ours is beside those that were run in turn, in the record of a `part` of the bench."""
        return part["figures"].get(self.key, NONE), part.get("pairs", {}).get(self.key, NONE)

    def pairs(self, turns: Mapping[str, Sequence[float]]) -> Values:
        """How many times better ours is than each peer by the median of neighbours' ratios: `turns` has each peer's
        figures, in order. A machine that is now fast and now slow is so for neighbours alike."""
        each = [dict(zip(turns, turn, strict=True)) for turn in zip(*turns.values(), strict=True)]
        found = {peer: [self.ratio(values, peer) for values in each] for peer in turns if peer != OURS}
        return {peer: statistics.median(map(float, filter(None, seen))) for peer, seen in found.items() if all(seen)}

    def verdicts(self, values: Values, pairs: Values = NONE) -> list[Verdict]:
        """Each target, what was reached (as `ratio` has it), and whether that is enough."""
        found = []
        for peer, wanted in self.factors:
            reached = self.ratio(values, peer, pairs)
            if reached is not None:
                text = f"≥ {wanted:,g} times {(PEERS | TOOLS)[peer]}"
                found.append(
                    Verdict(
                        text,
                        f"{reached:,.{2 if reached < 10 else 1 if reached < 100 else 0}f} times",
                        reached >= wanted,
                    )
                )
        figure = f"{values[OURS]:.3g} {self.unit}" if OURS in values else ""
        if self.bound is not None and figure:
            found.append(Verdict(f"≤ {self.bound:g} {self.unit}", figure, values[OURS] <= self.bound))
        if self.least is not None and figure:
            found.append(Verdict(f"≥ {self.least:g} {self.unit}", figure, values[OURS] >= self.least))
        return found


@dataclass(frozen=True)
class Verdict:
    wanted: str
    reached: str
    met: bool


FRONT = (
    Measure(
        "small",
        "blob of 10 KB",
        "requests/s",
        more_is_better=True,
        factors=(("original", 40), ("caddy", 40), ("registry", 1000), AS_BEFORE, BLOB_LIMIT),
    ),
    Measure("small_cpu", "… CPU time of each", "ms", plotted=False),
    Measure(
        "large",
        "blob of 400 MB",
        "GB/s",
        more_is_better=True,
        factors=(("original", 1.3), ("registry", 1.0), AS_BEFORE),
    ),
    Measure("large_cpu", "… CPU time per GB", "s", plotted=False),
    Measure(
        "tag",
        "manifest by tag",
        "requests/s",
        more_is_better=True,
        factors=(("original", 10), AS_BEFORE, MANIFEST_LIMIT),
    ),
    Measure("tag_cpu", "… CPU time of each", "ms", plotted=False),
    Measure("digest", "manifest by digest", "requests/s", more_is_better=True, factors=(AS_BEFORE, MANIFEST_LIMIT)),
    Measure("upload", "upload of 400 MB", "s", factors=(("original", 1.3), AS_BEFORE)),
    Measure("spooled", "upload, spooled by the front", "MB", bound=0),
    Measure("handshake", "new TLS connection, CPU time", "ms", factors=(("original", 5),)),
    Measure("flood_p50", "logged in, under a flood, median", "ms"),
    Measure("flood_p99", "logged in, under a flood, p99", "ms", bound=10),
    Measure("flood_login", "first login under a flood", "s", bound=2),
    Measure("pull_cpu", "1,000 pulls, CPU time", "s"),
    Measure("pull_memory", "memory after these pulls", "MB"),
)
LEGEND = """\
Blobs and manifests of 10 KB: 16 connections; the blob of 400 MB: one. CPU time is that of the servers' processes. A \
pull is of an image of ten layers of 1 MB, over a new connection. The flood: 16 connections that send wrong passwords \
without a pause; the client that has logged in asks for the small blob over 4 connections from the same address, the \
first logins come from another one. What is held against version 0.1 or the limit is the median over several instances \
of each, run one after the other, and the median of what neighbours are beside each other. Memory is without programs' \
files. The limit is a bare nginx that sends the same bytes with the same TLS, without passwords, links, a log or a \
registry."""

FLOOD = (
    Measure("hash", "a first login, nobody else there", "ms"),
    Measure("guess_rate", "flooded by passwords: answers to them", "a second"),
    Measure("guess_p50", "flooded by passwords: logged in, median", "ms"),
    Measure("guess_p99", "flooded by passwords: logged in, p99", "ms", bound=50),
    Measure("guess_turns", "flooded by passwords: the slowest first login, in turns", "times", bound=1),
    Measure("guess_known", "flooded by passwords: who was right before, in first logins", "times", bound=3),
    Measure("guess_refused", "flooded by passwords: right ones refused", "answers", bound=0),
    Measure("guess_after", "flooded by passwords: 1 s after the end, in first logins", "times", bound=1.5),
    Measure("half_held", "half-open connections of one address", "held"),
    Measure("half_kept", "half-open connections: another's kept one, p99", "ms", bound=50),
    Measure("half_new", "half-open connections: another's new ones, p99", "ms", bound=50),
    Measure("half_refused", "half-open connections: right passwords refused", "answers", bound=0),
    Measure("half_memory", "half-open connections: memory for each", "KB"),
)
FLOOD_LEGEND = """\
{addresses} addresses send wrong passwords over {connections} connections each, as fast as they are answered. Who is \
logged in asks for the small blob {pace} times a second, from another address. First logins are of users that nobody \
has seen, one after the other, each from an address of its own; a turn is the time of one first login with nobody else \
there, times addresses and two more, divided by cores. Who was right before asks again from the same address, when \
nginx has forgotten it. Half-open connections are as many, of one address, as the row says: those of which only the \
first byte of the TLS hello came, or (as many as this machine can open) those that ended the handshake and sent half a \
header; figures are of whichever was worse. Memory is that of nginx's processes, without the sockets, which are \
the kernel's."""

BACKUPS = (
    Measure("first", "first backup, which hashes", "MB/s", more_is_better=True, factors=(("rsync", 0.7),)),
    Measure("verify", "proving it", "MB/s", more_is_better=True, factors=(("sha256sum", 0.8),)),
    Measure("restored", "restore to the first pull, on a booted host; a copy there", "s"),
    Measure("beyond", "… what it takes beyond that copy", "s", bound=5),
    Measure("again", "backup with nothing new, 50,000 blobs", "s", bound=5),
    Measure("many", "… 200,000 blobs that are holes", "s", bound=30),
    Measure("many_memory", "… its memory", "MB", bound=100),
    Measure("many_proof_memory", "memory of proving these", "MB", bound=250),
)
BACKUPS_LEGEND = """\
2 GB in 1,300 files, in memory when it begins, and on disk when it ends; the tools on the same tree, in turn."""

IMAGES = (
    Measure("first", "images list, 10,000 repositories", "s", bound=2),
    Measure("again", "… again", "s", bound=0.5),
    Measure("pushed", "… after a push", "s"),
    Measure("look", "gc, 100,000 blobs in 10,000 repositories", "s", bound=4.5),
    Measure("later", "… a later look", "s"),
    Measure("look_memory", "… memory", "MB", bound=200),
    Measure("pulls", "pulls while space is freed, of those without", "times", more_is_better=True, least=0.9),
    Measure("pushes", "pushes while space is freed, of those without", "times", more_is_better=True, least=0.8),
)

PUSHES = (
    Measure("put", "a manifest is put, over a connection that is kept", "ms"),
    Measure("times", "… in times of the registry alone", "times", bound=1.2),
    Measure("refused", "a PUT of as many bytes, past the manifest service, that the registry refuses at once", "ms"),
    Measure("front", "… so the front adds (TLS, the password, passing on)", "ms"),
    Measure("service", "… and the manifest service adds", "ms"),
    Measure("served", "a manifest in times of the registry alone and the front", "times"),
)

GROWTH = (
    Measure("small", "blob of 10 KB", "requests/s", more_is_better=True),
    Measure("tag", "manifest by tag", "requests/s", more_is_better=True),
    Measure("reload", "reload, nothing changed", "s"),
    Measure("reload_edited", "reload, nginx.conf edited", "s"),
)
FEW, MANY = "10", "10000"
"""Numbers of repositories between which nothing may grow."""
