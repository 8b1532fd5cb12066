"""What freeing space costs: a store of very many blobs, in seconds and memory; and what clients have left meanwhile."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secreg_host.images.layout import Tree
from tests import many
from tests.real.conftest import new_instance
from tests.real.program import NOBODY, Instance, installed
from tests.real.pushing import Chaos, Pusher

CHECKOUT = Path(__file__).resolve().parents[1]
REPOSITORIES = 10_000
ROUNDS, SLICE = 5, 4.0
"""How often clients are measured without a collector and beside one, each time for so many seconds."""

CLIENTS = 2
YML = "version: 0.1\nstorage: {filesystem: {rootdirectory: %s}}\n"
CACHE = re.compile(r"\n  cache:\n    blobdescriptor: \w+")
LOOKS = """import json, resource, sys, time
from pathlib import Path
from secreg_host.images.collecting import Collector, Wish
from secreg_host.images.layout import Tree
took, collector = [], Collector(Tree(Path(sys.argv[1])), Wish(grace=0, untagged=0, purge=True), lambda: None)
for look in (lambda: list(collector.collect()), collector.naming.look):
    begin = time.perf_counter()
    look()
    took.append(time.perf_counter() - begin)
print(json.dumps([*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6]))
"""


def looks(tree: Tree) -> list[float]:
    """Seconds of a run that finds nothing, and of one more look; MB."""
    argv = [sys.executable, "-c", LOOKS, str(tree.root)]
    done = subprocess.run(argv, check=True, cwd=CHECKOUT, stdout=subprocess.PIPE)
    return [float(value) for value in json.loads(done.stdout)]


def measure(say: Callable[[str], None], *, quick: bool = False) -> dict[str, Any]:
    """Looks at very many blobs, and the rates of pulls and pushes beside a collector, in parts of those without one."""
    count = REPOSITORIES // 20 if quick else REPOSITORIES
    with installed() as program, new_instance(program, Instance) as instance:
        instance.run("setup")
        yml = (instance.etc / "docker-registry.yml").read_text()
        instance.write("docker-registry.yml", CACHE.sub("", yml))
        say(f"a store of {count * (many.LAYERS + 2):,} blobs")
        many.fill(Tree(instance.lib / "storage"), count)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(instance.lib / "storage")], check=True)
        time.sleep(3)  # nothing is too young to be remembered
        rounds = [looks(Tree(instance.lib / "storage")) for _ in range(2 if quick else ROUNDS)][1:]
        first, later, memory = (statistics.median(values) for values in zip(*rounds, strict=True))
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(instance.lib / "storage")], check=True)
        instance.start()
        say("pulls and pushes beside it")
        rates = beside(instance, 2 if quick else ROUNDS)
    figures = {"look": first, "later": later, "look_memory": memory, **rates}
    return {name: {"ours": value} for name, value in figures.items()}


def beside(instance: Instance, rounds: int) -> dict[str, float]:
    """What clients have left of their rates while space is freed: the median of neighbours."""
    chaos, parts = Chaos(instance, 1, 3600), dict[str, list[float]]()
    pusher = Pusher(chaos, 0)
    body, (_, *layers) = pusher._made("chaos/a")
    pusher._put("chaos/a", "t0", body, "application/vnd.oci.image.manifest.v1+json")
    blob = f"/v2/chaos/a/blobs/{json.loads(body)['layers'][0]['digest']}"

    clients = [chaos.client() for _ in range(CLIENTS)]
    pushers = [Pusher(chaos, 1 + number) for number in range(CLIENTS)]

    def pull(number: int) -> None:
        assert clients[number].ask("GET", blob).status == 200

    def push(number: int) -> None:
        pushers[number].turn()

    for name, act in (("pulls", pull), ("pushes", push)):
        rate(act)  # what comes first is slower
        for _ in range(rounds):
            alone = rate(act)
            with collecting(instance):
                parts.setdefault(name, []).append(rate(act) / alone)
    if chaos.refused:
        raise RuntimeError(f"refused: {chaos.refused[:5]}")
    return {name: statistics.median(values) for name, values in parts.items()}


def rate(act: Callable[[int], None]) -> float:
    """How often a second clients do `act`, over connections that they keep."""
    counts, until = [0] * CLIENTS, time.monotonic() + SLICE

    def work(number: int) -> None:
        while time.monotonic() < until:
            act(number)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(counts) / SLICE


@contextmanager
def collecting(instance: Instance) -> Iterator[None]:
    """Space is freed again and again within the block. A run that clients leave no time (it is of the idle class) has
    no end; it is ended with the block, and the next one goes on."""
    ended, wrong = threading.Event(), list[str]()

    def work() -> None:
        while not ended.is_set():
            with instance.popen("gc", "--grace", "1h", "--root", str(instance.root)) as run:
                while run.poll() is None and not ended.wait(0.05):
                    pass
                is_whole = run.poll() is not None
                run.terminate()
                said = run.communicate()[0]
            if is_whole and run.returncode not in (0, 3):
                wrong.append(said)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(1)  # it looks by now
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if wrong:
        raise RuntimeError(f"gc: {wrong[0]}")
