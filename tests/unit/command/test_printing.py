"""What is told of an apply is so: what serves, since when, what is held back, and who can log in."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from secreg_host.apply import apply
from secreg_host.apply import report as reports
from secreg_host.apply.report import Report, findings
from secreg_host.apply.wish import WATCHDOG
from secreg_host.base.errors import Problem
from secreg_host.command import printing
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made

NOW, BEFORE = 1_800_000_000.0, 1_700_000_000.0
SERVES = Report(
    generation="one", since=BEFORE, users="digest", count=2, changes={"users": BEFORE, "certificate": BEFORE}
)
WRONG = [Problem("a file", "is wrong", "mend it")]


def told(**given: Any) -> str:
    lines = "\n".join(printing.told(replace(SERVES, **given)))
    return re.sub(r"since (\d{4}-\S+ [\d:]+)", lambda at: f"since {'now' if at[1] > '2027' else 'then'}", lines)


NEW = {"users": BEFORE, "certificate": NOW}
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "new": ({"changed": True, "changes": NEW}, "the changes serve: certificate\n2 users can log in"),
    "the watchdog was quicker": (
        {"changes": NEW},
        "nothing to change\nserving: certificate since now, all else since then\n2 users can log in",
    ),
    "nothing": ({}, "nothing to change\nserving: all of it since then\n2 users can log in"),
    "not running": ({"generation": ""}, "nothing runs; start it: secure-registry start"),
    "nobody": (
        {"findings": findings("rejected", "users", WRONG), "count": 0},
        "nothing to change\nserving: all of it since then\nnobody can log in",
    ),
    "nobody since now": (
        {"findings": findings("rejected", "users", WRONG), "count": 0, "changed": True, "changes": {"users": NOW}},
        "the changes serve: users\nnobody can log in",
    ),
    "held back": (
        {"findings": findings("rejected", "nginx", WRONG), "count": 1},
        "held back: nginx; what was good of it before still serves\nserving: all of it since then\n1 user can log in",
    ),
    "new, but unproven": (
        {"findings": findings("unproven", "certificate", WRONG), "changed": True, "changes": NEW},
        "the changes serve: certificate\n2 users can log in",
    ),
    "not proven, so not taken": (
        {"findings": findings("unproven", "nginx", WRONG), "changed": True, "changes": NEW},
        "the changes serve: certificate\nheld back: nginx; what was good of it before serves\n2 users can log in",
    ),
    "half of it": (
        {"findings": findings("waiting", "certificate", WRONG), "changed": True, "changes": {"users": NOW}},
        "the changes serve: users\nheld back: certificate; what was good of it before serves\n2 users can log in",
    ),
    "away": (
        {"findings": findings("away", "registry", WRONG)},
        "nothing to change\nthe registry does not answer; it is tried again\n"
        "serving: all of it since then\n2 users can log in",
    ),
    "unproven": (
        {"findings": findings("unproven", "users", WRONG)},
        "nothing to change\nserving: all of it since then\n2 users can log in, but that could not be proven",
    ),
    "mild": (
        {"findings": (*findings("warning", "users", WRONG), *findings("pending", "trust", WRONG))},
        "nothing to change\nserving: all of it since then\n2 users can log in",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_outcome_of_an_apply(case: str) -> None:
    given, said = CASES[case]
    assert told(**given) == said


@pytest.mark.parametrize(
    ("by", "ago", "begins"),
    [
        (WATCHDOG, 3, r"applied by the watchdog [34] s ago: certificate\n"),
        ("reload", 3, "nothing to change\n"),
        (WATCHDOG, 500, "nothing to change\n"),
        (WATCHDOG, -500, "nothing to change\n"),
    ],
)
def test_what_the_watchdog_has_just_applied_is_told(host: Host, by: str, ago: float, begins: str) -> None:
    """Seen: "nothing to change", with each certificate that it took over."""
    report = replace(SERVES, by=by, changes={"users": BEFORE, "certificate": time.time() - ago})
    reports.save(host.paths, report)
    lines = "\n".join(printing.told(reports.load(host.paths)))
    assert re.match(f"{begins}serving: certificate since ", lines), lines


def generation(name: str, nginx: bytes = b"1", slot: str = "a") -> Generation:
    front = NginxPart(files={"front/nginx.conf": nginx})
    return Generation(Parts(made.certificate(), front, RegistryPart(root=None)), slot, {}, name)


def test_each_part_has_its_own_time(host: Host) -> None:
    """Also after the record was read again, and of one that an earlier version kept."""
    one, two, moved = generation("1"), generation("2", nginx=b"2"), generation("3", slot="b")

    def after(chosen: Generation, current: Generation | None, users: str, before: Report) -> set[str]:
        changes = apply._changes(chosen, current, users, before, NOW)
        assert set(changes) == {"certificate", "nginx", "registry", "users"}
        assert set(changes.values()) <= {NOW, BEFORE}
        return {name for name, at in changes.items() if at == NOW}

    every = {"certificate", "nginx", "registry", "users"}
    kept = dict.fromkeys(every, BEFORE)
    assert after(one, None, "u", Report()) == every
    for changes in (kept, {}):
        before = Report(generation=one.name, since=BEFORE, users="u", changes=changes)
        reports.save(host.paths, before)
        before = reports.load(host.paths)
        assert after(one, one, "u", before) == set()
        assert after(one, one, "v", before) == {"users"}
        assert after(two, one, "u", before) == {"nginx"}
        assert after(moved, one, "u", before) == {"registry"}
        assert after(two, two, "u", before) == every, "a run was cut short, or it was stopped"
        assert after(two, one, "u", replace(before, generation="")) == {"nginx"}, "it was only checked"
        assert after(replace(one, label="4"), one, "u", before) == every - {"users"}, "rendered by another version"
