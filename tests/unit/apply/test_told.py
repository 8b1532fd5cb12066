"""What of the configuration changed is told once, a part an entry, for the log of who did what."""

from __future__ import annotations

import logging

import pytest

from secreg_host.apply import told
from secreg_host.apply.report import Report
from secreg_host.generation.generations import Generation
from secreg_host.observe.audit import entries
from tests import made


@pytest.mark.promise("who-did-what")
def test_each_part_that_changed_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    serving = Generation(made.parts(), "a", {})
    assert told.KIND == entries.CHANGE
    changes = {"users": 9.0, "certificate": 9.0, "nginx": 9.0, "settings": 5.0}
    with caplog.at_level(logging.INFO):
        told.changes(Report(changes=changes, served=serving, by="gencert"), 9.0)
    fields = [getattr(record, "fields", {}) for record in caplog.records]
    assert [one["SECREG_PART"] for one in fields] == ["certificate", "nginx"], "users are told when they count"
    assert {(one["SECREG_KIND"], one["SECREG_BY"]) for one in fields} == {("change", "gencert")}
    assert "SHA-256" in fields[0]["SECREG_SAID"] and fields[1]["SECREG_SAID"] == ""
    with caplog.at_level(logging.INFO):
        caplog.clear()
        told.changes(Report(changes=changes, by="gencert"), 9.0)
    assert caplog.records == [], "nothing serves"
