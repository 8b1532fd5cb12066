"""What `audit` prints: as a table, as JSON, what is asked for, and nothing that somebody else wrote."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from secreg_host.base import logs
from secreg_host.base.paths import Paths
from secreg_host.command import audited, cli
from secreg_host.observe.audit.entries import Entry
from secreg_host.observe.audit.trail import Trail

Capture = pytest.CaptureFixture[str]
DIGEST, OTHER = f"sha256:{64 * 'a'}", f"sha256:{64 * 'b'}"
DAY = 86400 * 10**6


@pytest.fixture
def log(root: Path, service_users: None) -> Path:
    now = time.time_ns() // 1000
    paths = Paths(root)
    paths.log.mkdir(parents=True, exist_ok=True)
    trail = Trail(paths)
    told = (
        Entry(now - 3 * DAY, "push", "alice", "192.0.2.7", "team/app", "1.0", DIGEST, status=201, by="manifests"),
        Entry(now - DAY, "overwrite", "bob\x1b[2J", "::1", "team/app", "1.0", OTHER, DIGEST, 201, by="manifests"),
        Entry(now, "refused", "alice", "192.0.2.7", "other", status=403, said="PUT /v2/other/x", by="front"),
        Entry(now, "certificate changed", said="localhost", by="gencert"),
    )
    trail.append([one.line for one in told])
    return root


def typed(root: Path, *words: str) -> int:
    return cli.main(["audit", *words, "--root", str(root)], {})


@pytest.mark.promise("who-did-what")
def test_a_table(log: Path, capsys: Capture) -> None:
    assert typed(log) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["TIME", "(UTC)", "DID", "USER", "FROM", "IMAGE", "DIGEST", "MORE"]
    assert [row.split()[2] for row in rows] == ["push", "overwrite", "refused", "certificate"]
    assert "\x1b" not in rows[1] and f"was {DIGEST[:19]}" in rows[1] and "team/app:1.0" in rows[1]
    assert "PUT /v2/other/x" in rows[2] and "localhost, by gencert" in rows[3]


@pytest.mark.promise("who-did-what")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), ["push", "overwrite", "refused", "certificate changed"]),
        (("--user", "alice"), ["push", "refused"]),
        (("--repo", "team/*"), ["push", "overwrite"]),
        (("--since", "2d"), ["overwrite", "refused", "certificate changed"]),
        (("--since", "2d", "--repo", "team/**", "--user", "alice"), []),
    ],
)
def test_what_is_asked_for(log: Path, capsys: Capture, words: tuple[str, ...], found: list[str]) -> None:
    assert typed(log, "--json", *words) == 0
    assert [json.loads(line)["did"] for line in capsys.readouterr().out.splitlines()] == found
    assert typed(log, *words) == 0
    assert bool(found) == ("there is nothing of that" not in capsys.readouterr().out)


def test_an_age_that_is_none(log: Path, capsys: Capture) -> None:
    assert typed(log, "--since", "yesterday") == 2 and "--since" in capsys.readouterr().err


@pytest.mark.promise("who-did-what-is-roots")
def test_what_somebody_else_put_there_is_not_printed(log: Path, capsys: Capture) -> None:
    """A link, or one more name of another file."""
    path = logs.audit(Paths(log))
    path.rename(other := path.with_name("other"))
    path.symlink_to(other)
    assert typed(log) == 1 and "somebody else" in capsys.readouterr().err
    path.unlink()
    os.link(other, path)
    assert typed(log) == 1


def test_many_are_not_held_in_memory(capsys: Capture) -> None:
    audited.table(Entry(number, "push") for number in range(2 * audited.AT_ONCE + 1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * audited.AT_ONCE + 2 and sum("TIME" in line for line in lines) == 1
