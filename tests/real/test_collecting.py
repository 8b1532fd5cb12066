"""Space is freed in a loop while clients push to the real registry, and images are deleted and brought back by hand.

`make chaos-images` does more of it (SECREG_CHAOS_SECONDS, SECREG_CHAOS_SEED)."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import subprocess
import time

import pytest

from tests.real.program import Instance
from tests.real.pushing import Chaos, Client, Pusher, Refused, pull

SECONDS = float(os.environ.get("SECREG_CHAOS_SECONDS", "60"))
SEED = int(os.environ.get("SECREG_CHAOS_SEED", "1"))
LONG = 300
"""From so many seconds on, all is as it is on a host."""

SETTLE = 10.0 if SECONDS >= LONG else 3.0
"""Seconds that are waited for what is under way in the registry; a host waits for ten."""

GRACE = 30 if SECONDS >= LONG else 8
CACHE = re.compile(r"\n  cache:\n    blobdescriptor: \w+")
LAUNCHER = """import sys
sys.path.insert(0, {0!r})
from secreg_host.upkeep import settling
settling.SECONDS = {1}
from secreg_host.entry import main
sys.exit(main())
"""


@pytest.fixture
def registry(instance: Instance) -> Instance:
    """An instance that serves, and remembers no blobs."""
    assert instance.run("setup").returncode == 0
    yml = (instance.etc / "docker-registry.yml").read_text()
    instance.write("docker-registry.yml", CACHE.sub("", yml))
    instance.start()
    return instance


class Hand:
    """Who types commands on that host."""

    def __init__(self, chaos: Chaos) -> None:
        self.chaos, self.instance = chaos, chaos.instance
        self.chance = random.Random(f"{chaos.seed} by hand")
        self.launcher = self.instance.program.parent / "collects"
        self.launcher.write_text(LAUNCHER.format(str(self.launcher.parent), SETTLE))
        self.pusher = Pusher(chaos, 9)
        self.number = 0

    def typed(self, *words: str, seconds: float = 300, kills: bool = False) -> subprocess.CompletedProcess[str]:
        """One command; kills: it is killed after so many `seconds`, with what it started, unless it has ended."""
        argv = [str(self.launcher) if one == str(self.instance.program) else one for one in self.instance._argv(*words)]
        argv += ["--root", str(self.instance.root)]
        with subprocess.Popen(
            argv,
            env=self.instance._environment({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                said = process.communicate()
                assert kills, said
        return subprocess.CompletedProcess(argv, process.returncode, *said)

    def collect(self, *words: str, kills: bool = True) -> None:
        """One run after the other, every other one of which frees at once what it hid; some are killed."""
        self.number += 1
        now = ("--purge", "--yes") if self.number % 2 else ()
        if kills and self.number % 3 == 0:
            done = self.typed("gc", *words, *now, seconds=self.chance.uniform(0.2, 2 * SETTLE), kills=True)
            self.chaos.counting(killed=done.returncode == -signal.SIGKILL)
            return
        done = self.typed("gc", *words, "--json", *now)
        assert done.returncode in (0, 3), (shlex.join(words), done.returncode, done.stdout, done.stderr)
        said = json.loads(done.stdout)
        counted = {f"gc {key}": said[key] for key in said if isinstance(said[key], int) and said[key] is not True}
        self.chaos.counting(collected=1, **{key: value for key, value in counted.items() if value})

    def delete(self) -> None:
        """An image goes by hand, and comes back, unless what it needs was freed meanwhile."""
        name = "chaos/hand"
        tag = f"t{self.chance.randrange(3)}"
        try:
            digest = str(self.pusher._image(name, tag)["digest"])
        except Refused as error:
            with self.chaos.turn:
                self.chaos.refused.append((self.pusher.skipped, str(error)))
            return
        what = f"{name}:{tag}" if self.chance.random() < 0.5 else f"{name}@{digest}"
        with self.chaos.turn:
            self.chaos.acknowledged.pop((name, tag), None)
        done = self.typed("images", "rm", what, "--yes")
        assert done.returncode == 0, (what, done.stdout, done.stderr)
        assert self.chaos.client().ask("HEAD", f"/v2/{name}/manifests/{tag}").status == 404
        time.sleep(self.chance.choice((0, 1, 2 * SETTLE)))
        done = self.typed("images", "undelete", what)
        if done.returncode:
            assert done.returncode in (1, 2) and "push it again" in done.stderr, (what, done.stdout, done.stderr)
            self.chaos.counting(purged_before_it_came_back=1)
            return
        assert pull(self.chaos.client(), name, tag) == []
        with self.chaos.turn:
            self.chaos.acknowledged[name, tag] = digest
        self.chaos.counting(came_back=1)


def is_served(client: Client) -> bool:
    """Whether the manifest service is there, which takes a DELETE by tag: a push that skips what is about to go is
    refused without it."""
    return client.ask("DELETE", "/v2/chaos/nothing/manifests/none").status == 404


def race(instance: Instance, seconds: float, *words: str) -> tuple[Chaos, bool]:
    """Push and collect for so long, and judge what is there then."""
    chaos = Chaos(instance, SEED, seconds)
    served, hand = is_served(chaos.client()), Hand(chaos)
    chaos.run(lambda: hand.collect(*words), hand.delete)
    hand.collect(*words, kills=False)
    wrong = chaos.wrong()
    skipped = sum(one for one, _ in chaos.refused)
    how = "with" if served else "without"
    print(f"seed {SEED}, {seconds:g} s, {shlex.join(words)}, {how} the manifest service:")
    print(f"  {dict(sorted(chaos.count.items()))}; the longest push {chaos.longest:.1f} s")
    print(
        f"  refused: {skipped} that skipped an upload, {len(chaos.refused) - skipped} other ones; wrong: {len(wrong)}"
    )
    assert wrong == [] and chaos.count["in_each_others_way"] * 50 <= chaos.count["manifests"]
    assert chaos.count["manifests"] > seconds and chaos.count["gc manifests"] > 5 and chaos.count["came_back"]
    return chaos, served


def test_no_push_is_refused_and_no_image_broken_while_space_is_freed(registry: Instance) -> None:
    """Whoever skips an upload, for the layer is there, relies on the manifest service to bring it back."""
    chaos, served = race(registry, SECONDS, "--grace", f"{GRACE}s", "--untagged-older", f"{GRACE}s")
    refused = [said for skipped, said in chaos.refused if served or not skipped]
    assert refused == [] or chaos.longest >= GRACE, refused
    assert chaos.broken == [] or not served


def test_no_image_is_broken_without_a_grace(registry: Instance) -> None:
    race(registry, SECONDS if SECONDS >= LONG else SECONDS / 3, "--grace", "0s", "--untagged-older", "0s")
