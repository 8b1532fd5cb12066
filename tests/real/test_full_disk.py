"""Deleting, and freeing space, where images are on a disk on which no byte and no inode is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.real.program import CHECKOUT

ALL = [f"a:{tag}" for tag in ("latest", "v0", "v1", "v2", "v3", "v4")]


@pytest.fixture
def told(root: Path, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What happened, in order."""
    apart = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    argv = [*apart, sys.executable, "-m", "tests.real.fulldisk", str(root), *getattr(request, "param", ())]
    done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for one in found:
        print(one)
        assert one.get("wrong", []) == [], one
    assert next(one for one in found if one["what"] == "a push")["full"]
    return found


def freed(one: dict[str, Any]) -> int:
    return int(one["said"].partition('"freed_bytes": ')[2].partition(",")[0])


def of(told: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    return [one for one in told if one["what"].startswith(what)]


@pytest.mark.parametrize("told", [["--collected-before"]], indirect=True)
def test_where_space_was_freed_before_some_is_kept_for_it(told: list[dict[str, Any]]) -> None:
    """Seen red: it was refused, and nothing but a DELETE of a client's helped."""
    rm, _ = of(told, "images rm")
    assert rm["code"] == 0 and rm["tags"] == [tag for tag in ALL if tag != "a:v1"]
    first, again, *_ = of(told, "gc --untagged")
    assert first["code"] == 0 and '"held": []' in first["said"]
    assert freed(first) > 50_000 and again["code"] == 0, "which is kept again"


def test_where_none_is_kept_all_is_refused_until_something_is_deleted(told: list[dict[str, Any]]) -> None:
    rm, later = of(told, "images rm")
    first, again, last, _ = of(told, "gc --untagged")
    for one in (rm, first, again):
        assert (one["code"], one["tags"]) == (1, ALL) and "No space left on device" in one["said"]
    assert last["code"] == 0 and freed(last) > 150_000
    assert (later["code"], of(told, "images undelete")[0]["code"]) == (0, 0)
    assert "a:v2" in of(told, "images undelete")[0]["tags"]
