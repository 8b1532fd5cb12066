"""What became worse since an earlier version: ratios of one run beside those of the other's record.

Figures of two runs can't be compared, ratios over the same peer can: the peers are the same programs in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.targets import FRONT, OURS, PEERS

MUCH = 0.15
"""The part of a ratio that may be lost without a word: two runs on one machine differ by nearly as much."""

SAME = ("cores", "cpu", "memory", "system")
"""Facts of a machine that make it of one kind with another."""


@dataclass(frozen=True)
class Worse:
    """A measure that became worse: `title` beside `peer` was `before` times better, and is `now` times better."""

    title: str
    peer: str
    before: float
    now: float


def comparable(now: dict[str, Any], before: dict[str, Any]) -> bool:
    """Whether two records (bench.results) have figures of the front from the same kind of machine."""
    one, other = (record.get("front", {}).get("machine", {}) for record in (now, before))
    return bool(one) and all(one.get(fact) == other.get(fact) for fact in SAME)


def worse(now: dict[str, Any], before: dict[str, Any]) -> list[Worse]:
    """Every ratio of the record `now` that is more than MUCH below that of `before` (records of bench.results)."""
    if not comparable(now, before):
        return []
    found = []
    for measure in FRONT:
        (figures, pairs), (earlier, before_pairs) = (measure.seen(record["front"]) for record in (now, before))
        for peer in PEERS:
            is_now, was = measure.ratio(figures, peer, pairs), measure.ratio(earlier, peer, before_pairs)
            if peer != OURS and is_now and was and is_now < was * (1 - MUCH):
                found.append(Worse(measure.title, PEERS[peer], was, is_now))
    return found
