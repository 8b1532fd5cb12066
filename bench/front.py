"""The measures of the front: each peer in turn, several rounds, medians."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import load, targets, usage
from bench.content import LARGE, LAYER, OWNER, SMALL, Content, Storage
from bench.limit import Limit
from bench.peers import Bare, Caddy, Old, Original, Ours, Peer, Yard
from tests.real.program import OLD, installed

Figures = dict[str, float]

SECONDS = 3.0
ROUNDS = 3
INSTANCES = 8
"""Of this version, the one before and the limit, one after the other, for what no version may lose: a few percent count
there, and two instances of the same code differ by as many."""

WARM_SECONDS = 1.0
"""In which each of them gets to know the password."""

HANDSHAKES = 200
PULL_SECONDS = 4.0
LOGINS = 3
FLOODED_CONNECTIONS = 4
OTHER_ADDRESS = "127.0.0.9"
"""Whence the first logins come: not from the address that sends wrong passwords."""


@dataclass
class Trials:
    """What can be measured on one peer at a time."""

    storage: Storage
    content: Content
    scratch: Path
    seconds: float

    def small(self, peer: Peer) -> Figures:
        return self._rate(peer, "small", self.content.small)

    def tag(self, peer: Peer) -> Figures:
        return self._rate(peer, "tag", self.content.image.tagged)

    def digest(self, peer: Peer) -> Figures:
        return self._rate(peer, "digest", self.content.image.by_digest)

    def _rate(self, peer: Peer, name: str, path: str) -> Figures:
        before = peer.cpu()
        seen = load.ask(peer.door, [peer.door.line(path)], seconds=self.seconds)
        return {name: seen.rate, f"{name}_cpu": (peer.cpu() - before) / seen.requests * 1e3}

    def large(self, peer: Peer) -> Figures:
        """One connection, as one layer is pulled."""
        before = peer.cpu()
        line = peer.door.line(self.content.large)
        seen = load.ask(peer.door, [line], connections=1, threads=1, seconds=self.seconds + 1)
        return {"large": seen.gigabytes, "large_cpu": (peer.cpu() - before) / seen.bytes * 1e9}

    def upload(self, peer: Peer) -> Figures:
        """A blob that the registry does not have; what was written before is on the disk when it begins."""
        repository = f"upload/{peer.key}"
        with self.scratch.open("r+b") as file:
            file.write(os.urandom(16))
            file.seek(0)
            digest = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        os.sync()
        before = peer.spooled()
        seconds = load.upload(peer.door, repository, self.scratch, digest)
        # a front that spools has written all of it by now; access logs are a few kilobytes
        spooled = (peer.spooled() - before) / 1e6
        shutil.rmtree(self.storage.base / "repositories" / repository)
        shutil.rmtree(self.storage.data(digest).parent)
        return {"upload": seconds} | ({"spooled": round(spooled, 1)} if peer.front else {})

    def handshake(self, peer: Peer) -> Figures:
        before = peer.cpu()
        load.handshakes(peer.door, HANDSHAKES)
        return {"handshake": (peer.cpu() - before) / HANDSHAKES * 1e3}

    def flood(self, peer: Peer) -> Figures:
        """A client that has logged in, and others that have not, while 16 connections send wrong passwords."""
        with load.wrong_passwords(peer.door, self.content.small):
            logins = []
            for _ in range(LOGINS):
                door = peer.door.as_other(peer.fresh_user(), peer.door.password)
                status, seconds = load.login(door, OTHER_ADDRESS)
                if status != 200:
                    raise RuntimeError(f"{peer.title}: first login under the flood: status {status}")
                logins.append(seconds)
            line = peer.door.line(self.content.small)
            seen = load.ask(peer.door, [line], FLOODED_CONNECTIONS, 1, self.seconds + 2)
        found = {"flood_p50": seen.p50, "flood_p99": seen.p99, "flood_rate": seen.rate}
        return found | {"flood_login": statistics.median(logins)}

    def pull(self, peer: Peer) -> Figures:
        """As many pulls as fit into some seconds, brought to a thousand."""
        before, end, count = peer.cpu(), time.monotonic() + PULL_SECONDS, 0
        while time.monotonic() < end or not count:
            load.pull(peer.door, self.content.image)
            count += 1
        return {"pull_cpu": (peer.cpu() - before) / count * 1000, "pull_memory": usage.memory(peer.group) / 1e6}

    @property
    def all(self) -> list[Callable[[Peer], Figures]]:
        return [self.small, self.large, self.tag, self.digest, self.upload, self.handshake, self.pull, self.flood]


def rounds(trial: Callable[[Peer], Figures], among: list[Peer], count: int) -> dict[str, dict[str, list[float]]]:
    """Figures of each round: measure -> peer -> figures. Who begins changes from round to round."""
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(count):
        at = turn % len(among)
        for peer in among[at:] + among[:at]:
            if trial.__name__ in peer.left_out:
                continue
            for measure, figure in trial(peer).items():
                found.setdefault(measure, {}).setdefault(peer.key, []).append(figure)
    return found


def compared(trials: Trials, among: list[Peer], instances: int) -> dict[str, dict[str, list[float]]]:
    """Figures of those measures that are judged by the version before or by the limit, of these alone: one of each of
    their instances."""
    judged = {measure.key for measure in targets.FRONT if set(targets.PAIRED) & set(measure.factors)}
    pair = [peer for peer in among if peer.key in {targets.OURS, *dict(targets.PAIRED)}]
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(instances):
        for peer in pair:
            peer.renew()
            load.ask(peer.door, [peer.door.line(trials.content.small)], seconds=WARM_SECONDS)
        at = number % len(pair)
        for trial in trials.all:
            if trial.__name__ in judged:
                for name, of in rounds(trial, pair[at:] + pair[:at], 1).items():
                    for key, seen in of.items():
                        found.setdefault(name, {}).setdefault(key, []).extend(seen)
    return found


def growth(ours: Ours, storage: Storage, many: int, seconds: float) -> dict[str, Figures]:
    """The same figures with ten repositories and with many, requests going to each of them in turn."""
    first = storage.image("growth/r0", [b"x" * SMALL])
    found = {}
    there = 1
    for name, count in ((targets.FEW, int(targets.FEW)), (targets.MANY, many)):
        for number in range(there, count):
            storage.copy(first, f"growth/r{number}")
        there = count
        give(storage.base / "repositories/growth")
        os.sync()
        repositories = [f"/v2/growth/r{number}" for number in range(count)]
        blobs = [ours.door.line(f"{path}/blobs/{first.blobs[1]}") for path in repositories]
        tags = [ours.door.line(f"{path}/manifests/latest") for path in repositories]
        found[name] = {
            "small": statistics.median(load.ask(ours.door, blobs, seconds=seconds).rate for _ in range(ROUNDS)),
            "tag": statistics.median(load.ask(ours.door, tags, seconds=seconds).rate for _ in range(ROUNDS)),
            "reload": statistics.median(_timed(ours.instance.reload) for _ in range(ROUNDS)),
            "reload_edited": statistics.median(_timed(lambda: _edit_and_reload(ours)) for _ in range(ROUNDS)),
        }
    return found


def _edit_and_reload(ours: Ours) -> None:
    ours.instance.write("nginx.conf", (ours.instance.etc / "nginx.conf").read_text() + "# edited\n")
    ours.instance.reload()


def _timed(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def give(path: Path) -> None:
    """To those who serve it."""
    subprocess.run(["chown", "-R", f"{OWNER}:{OWNER}", str(path)], check=True)


@contextmanager
def home_directory() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="sb-"))
    try:
        home.chmod(0o755)
        os.chown(home, OWNER, OWNER)
        yield home
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


@contextmanager
def all_running(home: Path, program: Path, old: Path) -> Iterator[list[Peer]]:
    """This project's `program` first, then the others and the `old` one, all serving what the first stores."""
    password = secrets.token_hex()
    with ExitStack() as stack:
        ours = Ours(Yard(home, {}, password), program)
        stack.enter_context(ours.running())
        registry = yaml.safe_load((ours.instance.etc / "docker-registry.yml").read_text())
        yard = Yard(home, registry, password)
        others: list[Peer] = [Original(yard), Bare(yard), Caddy(yard), Old(yard, old), Limit(yard, ours)]
        for peer in others:
            stack.enter_context(peer.running())
        yield [ours, *others]


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Run everything; `quick` only shows that it runs."""
    seconds, count, many = (1.0, 1, 100) if quick else (SECONDS, ROUNDS, int(targets.MANY))
    found: dict[str, dict[str, list[float]]] = {}
    with ExitStack() as stack:
        home, program, old = (stack.enter_context(one) for one in (home_directory(), installed(), installed(OLD)))
        among = stack.enter_context(all_running(home, program, old))
        ours = among[0]
        assert isinstance(ours, Ours)
        storage = Storage(ours.storage)
        content = storage.fill()
        give(ours.storage)
        next(peer for peer in among if isinstance(peer, Limit)).put(storage, content)
        scratch = home / "scratch"
        scratch.write_bytes(bytes(LAYER) * (LARGE // LAYER))
        trials = Trials(storage, content, scratch, seconds)
        for trial in trials.all:
            say(trial.__name__)
            found |= rounds(trial, among, count)
        say("this version, the one before and the limit")
        paired = compared(trials, among, 1 if quick else INSTANCES)
        for name, of in paired.items():
            found[name] |= of
        say("growth")
        grown = growth(ours, storage, many, seconds)
    medians = {name: {peer: statistics.median(seen) for peer, seen in of.items()} for name, of in found.items()}
    pairs = {measure.key: measure.pairs(paired[measure.key]) for measure in targets.FRONT if measure.key in paired}
    return {"figures": medians, "rounds": found, "pairs": pairs, "growth": grown}
