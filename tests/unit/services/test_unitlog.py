"""`unitlog`: which of a unit's lines are of which start. By a real journal: tests/booted/test_outside.py."""

from __future__ import annotations

from secreg_host.services import unitlog

STARTS = {"a1", "b2"}


def test_lines_of_other_starts_are_left_out() -> None:
    entries = [
        {"MESSAGE": "yesterday's", "_SYSTEMD_INVOCATION_ID": "99"},
        {"MESSAGE": "said", "_SYSTEMD_INVOCATION_ID": "a1"},
        {"MESSAGE": "read when it had ended"},
        {"MESSAGE": "of its other start", "INVOCATION_ID": "99"},
        {"MESSAGE": "by systemd", "INVOCATION_ID": "b2"},
        {"MESSAGE": "Failed to start x.service", "INVOCATION_ID": "b2"},
    ]
    assert unitlog.of_starts(entries, STARTS) == ["said", "read when it had ended", "by systemd"]


def test_what_is_no_text_is_shown_as_well_as_it_goes() -> None:
    entries: list[dict[str, object]] = [{"MESSAGE": [104, 105, 255]}, {"MESSAGE": None}, {}]
    assert unitlog.of_starts(entries, STARTS) == ["hi\ufffd", "", ""]
