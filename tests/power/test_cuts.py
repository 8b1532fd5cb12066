"""Power cuts at each moment of an apply, gencert, htpasswd and trust: old or new, never neither."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

from tests.power import cuts, scenes, trace
from tests.power.disk import Disk
from tests.power.scenes import MEMORY, Scene, lasting, whole

SEED = int(os.environ.get("SECREG_POWER_SEED", "1"))
STARTS = int(os.environ.get("SECREG_POWER_STARTS", "12"))
"""Of how many states of each scene the program starts again."""

MIXES = int(os.environ.get("SECREG_POWER_MIXES", "2"))
"""How many states of each moment are made by chance."""

pytestmark = pytest.mark.real


@pytest.mark.promise("crashes", "killed-runs")
@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.name)
def test_old_or_new(scene: Scene, root: Path) -> None:
    scene.before(root)
    disk, before = Disk(root, MEMORY), cuts.read(root, MEMORY)
    done, ended = trace.run(scene.argv(root), root, scenes.environment(), scene.typed)
    assert ended.returncode == 0, ended.stderr
    after = cuts.read(root, MEMORY)
    every = list(cuts.cuts(disk, done, SEED, MIXES))
    assert cuts.unlike(cuts.tree(disk), after) == [], "the model is not what the kernel did"
    wrong = (
        f"{said} (after {done[cut.after].short}: {cut.said})"
        for cut in every
        for said in whole(cut.tree, before, after)
    )
    assert list(itertools.islice(wrong, 20)) == []
    ends = [lasting(state) for _, state in cuts.states(disk, random.Random(SEED), MIXES)]
    assert sorted({path for end in ends for path in cuts.unlike(end, lasting(after))}) == [], "done, and not on disk"
    chosen = random.Random(SEED).sample(every, min(STARTS, len(every)))
    known = [scenes.started(root, one, anew=scene.anew) for one in (before, after)]
    bare = scenes.untrusted(root)
    for cut in chosen:
        cuts.write(cut.tree, root)
        said = f"after {done[cut.after].short}: {cut.said}"
        assert scenes.recovered(root, known, anew=scene.anew) == [], said
        assert cuts.unlike(scenes.untrusted(root), bare) == [], said
    print(f"{scene.name}: seed {SEED}, {len(done)} changes, {len(every)} states, {len(chosen)} started")
