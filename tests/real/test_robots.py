"""Robots over TLS: they log in with the secret that was shown, and are out when it was taken away or its time is
over."""

from __future__ import annotations

import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host.formats import robots
from secreg_host.formats.robots import Robot
from tests.real.conftest import new_instance
from tests.real.program import Instance

SECRET = re.compile(r"srt_[0-9a-f]{64}")
OUT_SECONDS = 2.0


@pytest.fixture(scope="module")
def watched(program: Path) -> Iterator[Instance]:
    """One whose edits serve by themselves."""
    with new_instance(program, Instance) as found:
        found.start("--watch")
        yield found


def asked(instance: Instance, name: str, secret: str) -> int:
    return instance.ask("/v2/", user=f"robot-{name}", password=secret).status


def create(instance: Instance, name: str, *words: str) -> str:
    done = instance.run("token", "create", name, *words, "--output", "-")
    assert done.returncode == 0 and SECRET.fullmatch(done.stdout.strip()), done.stderr
    assert not SECRET.search(done.stderr)
    return done.stdout.strip()


@pytest.mark.promise("robots-secrets")
def test_a_robot_logs_in_until_it_is_revoked(serving: Instance) -> None:
    secret = create(serving, "ci", "--read", "team-a/**", "--push", "apps/{web,db}")
    assert [asked(serving, name, secret) for name in ("ci", "cj")] == [200, 401]
    assert [asked(serving, "ci", wrong) for wrong in ("", "x", secret[:-1], secret.upper())] == [401] * 4
    assert serving.ask("/v2/", user="ci", password=secret).status == 401
    (line,) = json.loads(serving.run("token", "list", "--json").stdout)
    assert line["login"] == "robot-ci" and line["counts"] and "hash" not in line
    assert "robot-ci" in serving.run("token", "list").stdout
    assert stat.S_IMODE((serving.etc / "robots").stat().st_mode) == 0o640
    assert serving.run("token", "revoke", "ci").returncode == 0
    assert asked(serving, "ci", secret) == 401, "at once: nothing that is remembered counts"
    assert not serving.has_said(secret)


@pytest.mark.promise("robots-secrets")
def test_a_secret_is_shown_on_a_terminal_and_to_no_pipe(serving: Instance) -> None:
    done = serving.run("token", "create", "ci")
    assert done.returncode == 2 and "standard output is none" in done.stderr and not (serving.etc / "robots").exists()
    shown = serving.on_terminal("token", "create", "ci", "--read", "**")
    secret = SECRET.search(shown)
    assert secret is not None and "docker login -u robot-ci --password-stdin localhost" in shown
    assert asked(serving, "ci", secret[0]) == 200
    path = serving.root / "secret"
    done = serving.run("token", "renew", "ci", "--overlap", "0s", "--output", str(path))
    assert done.returncode == 0 and stat.S_IMODE(path.stat().st_mode) == 0o600 and not SECRET.search(done.stdout)
    assert [asked(serving, "ci", one) for one in (secret[0], path.read_text().strip())] == [401, 200]
    assert serving.run("token", "renew", "ci", "--output", str(path)).returncode == 2, "no file is written over"


@pytest.mark.promise("robots-overlap")
def test_the_secret_before_counts_for_its_overlap(watched: Instance) -> None:
    """Each time without a line of a wrong password in the log of those that fail; a wrong one has its line."""
    first = create(watched, "turn", "--read", "**")
    failed = watched.root / "var/log/secure-registry/failed-logins.log"
    before = failed.read_text() if failed.exists() else ""
    done = watched.run("token", "renew", "turn", "--overlap", "4s", "--output", "-")
    over, second = time.time() + 4, done.stdout.strip()
    assert [asked(watched, "turn", one) for one in (first, second, first, second)] == [200] * 4
    assert (failed.read_text() if failed.exists() else "") == before and not watched.has_said('robot-turn": password')
    assert asked(watched, "turn", "wrong") == 401
    watched.wait_for("its line", lambda: failed.read_text() != before)
    watched.wait_for("its end", lambda: asked(watched, "turn", first) == 401)
    assert over - 1.5 <= time.time() <= over + OUT_SECONDS and asked(watched, "turn", second) == 200


@pytest.mark.promise("robots-end")
def test_one_whose_time_is_over_is_out_within_two_seconds(watched: Instance) -> None:
    """Though it was just let in, and nothing in /etc changes."""
    secret = create(watched, "brief", "--expires", "3s")
    end = time.time() + 3
    watched.wait_for("it is remembered", lambda: asked(watched, "brief", secret) == 200)
    watched.wait_for("its end", lambda: asked(watched, "brief", secret) == 401)
    assert end - 1.5 <= time.time() <= end + OUT_SECONDS
    said = json.loads(watched.run("token", "list", "--json").stdout)
    assert [one["counts"] for one in said if one["name"] == "brief"] == [False]
    watched.wait_for("it is told", lambda: watched.has_said("robot 'brief' came to its end"))


@pytest.mark.promise("robots-end")
def test_one_whose_time_is_over_is_out_after_a_start(instance: Instance) -> None:
    instance.start()
    secret, now = robots.new_secret(), int(time.time())
    over = Robot("over", robots.hash_of(secret), now - 100, now - 1)
    there = Robot("there", robots.hash_of(secret), now - 100, now + 1000)
    instance.write("robots", b"".join(robots.render(robot) + b"\n" for robot in (over, there)))
    instance.stop()
    instance.start()
    assert [asked(instance, name, secret) for name in ("over", "there")] == [401, 200]


@pytest.mark.promise("robots-fail-closed")
def test_a_broken_line_lets_in_no_robot_and_all_others(serving: Instance) -> None:
    secret = create(serving, "good")
    bad = create(serving, "bad")
    text = (serving.etc / "robots").read_text()
    serving.write("robots", re.sub(r"^(bad:.*) expires=\S+", r"\1", text, flags=re.MULTILINE))
    said = serving.reload()
    assert f"{serving.etc}/robots:2: robot 'bad' can't log in" in said
    assert [asked(serving, name, one) for name, one in (("good", secret), ("bad", bad))] == [200, 401]
    assert serving.ask("/v2/", user="docker").status == 200
    (serving.etc / "robots").unlink()
    (serving.etc / "robots").mkdir()
    said = serving.reload()
    assert f"{serving.etc}/robots" in said and asked(serving, "good", secret) == 401
    assert serving.ask("/v2/", user="docker").status == 200
    (serving.etc / "robots").rmdir()


@pytest.mark.promise("robots-own-rights")
def test_a_robot_may_do_what_its_rights_say_and_nothing_else(serving: Instance) -> None:
    """Without an access.yml: others may do everything still."""
    reader, pusher = create(serving, "reader", "--read", "base/**"), create(serving, "pusher", "--push", "team-a/*")

    def status(method: str, path: str, name: str, secret: str) -> int:
        return serving.ask(f"/v2/{path}", method, f"robot-{name}", secret).status

    for method, path, wanted in (
        ("GET", "base/x/tags/list", 404),  # it is let in, and there is none
        ("GET", "other/tags/list", 403),
        ("GET", "team-a/x/tags/list", 403),
        ("POST", "base/x/blobs/uploads/", 403),
        ("DELETE", f"base/x/manifests/sha256:{'0' * 64}", 403),
        ("GET", "", 200),
        ("GET", "../v1/_ping", 404),
    ):
        assert status(method, path, "reader", reader) == wanted, (method, path)
    assert status("POST", "team-a/x/blobs/uploads/", "pusher", pusher) == 202
    assert status("POST", "team-a/x/y/blobs/uploads/", "pusher", pusher) == 403
    assert status("GET", "team-a/x/tags/list", "pusher", pusher) == 404
    refused = serving.ask("/v2/base/x/blobs/uploads/", "POST", "robot-reader", reader)
    assert json.loads(refused.body)["errors"][0]["message"] == "robot-reader may read base/x, not push to it"
    assert serving.ask("/v2/other/blobs/uploads/", "POST", "docker").status == 202
    catalogue = serving.ask("/v2/_catalog", user="robot-reader", password=reader)
    assert (catalogue.status, json.loads(catalogue.body)) == (200, {"repositories": []})


def test_ten_thousand_of_them(serving: Instance) -> None:
    """They log in, and a reload takes no longer than it may."""
    secret, now = robots.new_secret(), int(time.time())
    one = robots.hash_of(secret)
    lines = [
        robots.render(Robot(f"r{n}", one, now, now + 10**7, rights=(("read", f"t{n}/**"),))) for n in range(10_000)
    ]
    serving.write("robots", b"\n".join(lines) + b"\n")
    serving.reload()
    assert [asked(serving, f"r{number}", secret) for number in (0, 9999, 10_000)] == [200, 200, 401]
    assert serving.run("token", "revoke", "r5000").returncode == 0
    assert [asked(serving, f"r{number}", secret) for number in (5000, 5001)] == [401, 200]
