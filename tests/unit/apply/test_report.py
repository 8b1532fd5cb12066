"""What hooks are told of an apply."""

from __future__ import annotations

import pytest

from secreg_host.apply.report import Finding, Report
from secreg_host.base.errors import Problem


def found(kind: str, part: str, number: int) -> tuple[Finding, ...]:
    return tuple(Finding(kind, part, Problem(f"/f:{line}", f"bad {line}", "mend it")) for line in range(number))


def test_hooks_are_told_each_of_a_few() -> None:
    report = Report("abc", fresh=found("rejected", "nginx", 2), gone=found("warning", "users", 1), changed=True)
    assert [(event, facts.get("where")) for event, facts in report.told] == [
        ("rejected", "/f:0"),
        ("rejected", "/f:1"),
        ("resolved", "/f:0"),
        ("applied", None),
    ]
    assert report.told[0][1]["remedy"] == "mend it"


@pytest.mark.promise("hooks")
def test_many_alike_are_a_few_programs() -> None:
    """Seen: 1,000 lines of .htpasswd were 1,000 units of systemd, for each hook."""
    many, other = found("rejected", "users", 1000), found("rejected", "nginx", 1)
    told = Report(fresh=(*many, *other), gone=found("warning", "users", 7)).told
    assert [event for event, _ in told] == ["rejected"] * 7 + ["resolved"] * 6
    assert [facts["reason"] for event, facts in told][4:8] == ["bad 4", "995 more like these", "bad 0", "bad 0"]
    assert told[5][1]["part"] == "users" and told[5][1]["remedy"] == "see them: secure-registry status"
