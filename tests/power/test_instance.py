"""The same of an instance as it is run, with nginx and the registry: its start is cut, and it starts again."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.power import cuts, trace
from tests.power.disk import Disk
from tests.power.scenes import BOB, ETC, LIB, lasting, whole
from tests.power.test_cuts import MIXES, SEED
from tests.real.conftest import new_instance
from tests.real.program import NOBODY, Instance, installed

MEMORY = ("run", "var/log", f"{LIB}/storage/docker")
"""What is gone with the power, and what nginx and the registry write."""

STARTS = 2
"""Of how many states it is started again."""

pytestmark = pytest.mark.real


@contextmanager
def served() -> Iterator[Instance]:
    """One that was set up and is stopped, all of whose files were edited since."""
    with installed() as program, new_instance(program, Instance) as one:
        one.start(SERVER_NAME="registry.example.org", KEY_TYPE="P-256")
        one.stop()
        for name in ("nginx.conf", "docker-registry.yml"):
            one.write(name, (one.etc / name).read_bytes() + b"\n# edited\n")
        one.write(".htpasswd", (one.etc / ".htpasswd").read_bytes() + BOB)
        assert one.run("gencert").returncode == 0
        yield one


@pytest.mark.promise("crashes", "killed-runs")
def test_a_start_that_is_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with served() as one:
        disk, before = Disk(one.root, MEMORY), cuts.read(one.root, MEMORY)
        with monkeypatch.context() as patched:
            argv = one._argv
            patched.setattr(one, "_argv", lambda *args: [*trace.tracer(tmp_path / "trace"), *argv(*args)])
            one.start()
        assert one.ask("/v2/", user="docker").status == 200
        assert one.run("stop").returncode == 0 and one.stop() == 0
        done = trace.changes((tmp_path / "trace").read_text().splitlines(), one.root)
        after = cuts.read(one.root, MEMORY)
        every = list(cuts.cuts(disk, done, SEED, MIXES))
        assert cuts.unlike(cuts.tree(disk), after) == [], "the model is not what the kernel did"
        assert [said for cut in every for said in whole(cut.tree, before, after)][:20] == []
        ends = [lasting(state) for _, state in cuts.states(disk, random.Random(SEED), MIXES)]
        assert sorted({path for end in ends for path in cuts.unlike(end, lasting(after))}) == [], (
            "done, and not on disk"
        )
        for cut in random.Random(SEED).sample(every, STARTS):
            cuts.write(cut.tree, one.root)
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", one.root], check=True)
            one.start()
            said = f"after {done[cut.after].short}: {cut.said}"
            assert one.ask("/v2/", user="docker").status == 200, said
            assert one.stop() == 0
            left = [path for path in cuts.read(one.root, MEMORY) if path.endswith(".new") or "/.stage-" in path]
            assert (left, (one.etc / "nginx.conf").read_bytes()) == ([], after[f"{ETC}/nginx.conf"][1]), said
