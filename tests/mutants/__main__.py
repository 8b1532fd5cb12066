"""`make mutants`: applies each fault that is kept to a copy of the checkout, and names those that no test sees."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutants import CHECKOUT, Mutant, kept

SECONDS = 120.0
"""How long the tests of one may take."""

LEFT_OUT = shutil.ignore_patterns(".git", "build", "dist", "config", "*.egg-info", "__pycache__", ".*_cache")
PASSED, FAILED = 0, 1
"""What pytest ends with when its tests ran (docs.pytest.org, exit codes)."""


class Unsound(Exception):
    """The tests fail by themselves: what they said last."""


def pytest(copy: Path, tests: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run `tests` in `copy` until one fails; pytest's exit code (-1: not in time), and the last line that it said."""
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    # tests that are left out see nothing: CI makes them fail, so they would seem to
    with tempfile.TemporaryFile() as said:
        ours = {name: value for name, value in os.environ.items() if name != "CI"}
        running = subprocess.Popen(argv, cwd=copy, env=ours, stdout=said, stderr=said, start_new_session=True)
        try:
            code = running.wait(seconds)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        said.seek(0)
        return code, (said.read().decode(errors="replace").strip().splitlines() or [""])[-1]


@contextlib.contextmanager
def applied(mutant: Mutant, copy: Path) -> Iterator[None]:
    """`copy` has the fault while the block runs."""
    path = copy / mutant.path
    text = path.read_text()
    compiled = Path(importlib.util.cache_from_source(str(path)))
    try:
        path.write_text(text.replace(mutant.old, mutant.new))
        compiled.unlink(missing_ok=True)  # it counts as fresh for a second if the size is the same
        yield
    finally:
        path.write_text(text)
        compiled.unlink(missing_ok=True)


def survives(mutant: Mutant, copy: Path) -> str:
    """Why `mutant` counts as not seen; "": a test failed."""
    with applied(mutant, copy):
        code, said = pytest(copy, mutant.tests, SECONDS)
    if code in (PASSED, FAILED):
        return "" if code == FAILED else "it survives"
    return f"it can't be told: pytest ends with {code} ({said})"


@contextlib.contextmanager
def copies(number: int) -> Iterator[queue.Queue[Path]]:
    """So many copies of the checkout."""
    with tempfile.TemporaryDirectory(prefix="srm-") as directory:
        found = queue.Queue[Path]()
        for each in range(number):
            place = Path(directory) / str(each)
            shutil.copytree(CHECKOUT, place, symlinks=True, ignore=LEFT_OUT)
            found.put(place)
        Path(directory).chmod(0o755)  # some tests run programs as another user
        yield found


def tried(mutants: Sequence[Mutant], jobs: int) -> Iterator[tuple[Mutant, str]]:
    """Each of `mutants` with why it counts as not seen, as soon as that is known, so many at a time. Raises Unsound
    when their tests fail without a fault."""
    if not mutants:
        return
    with copies(jobs) as free, ThreadPoolExecutor(jobs) as pool:
        copy, every = free.get(), sorted({test for one in mutants for test in one.tests})
        code, said = pytest(copy, every, len(every) * SECONDS)
        free.put(copy)
        if code != PASSED:
            raise Unsound(said)

        def on_a_copy(mutant: Mutant) -> str:
            copy = free.get()
            try:
                return survives(mutant, copy)
            finally:
                free.put(copy)

        running = {pool.submit(on_a_copy, one): one for one in mutants}
        try:
            for ended in as_completed(running):
                yield running[ended], ended.result()
        finally:
            pool.shutdown(cancel_futures=True)  # somebody has enough of it


def main(argv: Sequence[str] | None = None) -> int:
    """0 when each that was asked for is seen, 1 when one survives, or is stale."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("pattern", nargs="?", default="", help="only those whose file or fault has this text")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    given = parser.parse_args(argv)
    chosen = [one for one in kept() if given.pattern in str(one)]
    wrong = {one: f"it is stale: {why}" for one in chosen if (why := one.stale(CHECKOUT))}
    sound = [one for one in chosen if one not in wrong]
    try:
        for number, (mutant, why) in enumerate(tried(sound, given.jobs), 1):
            print(f"[{number}/{len(sound)}] {why or 'seen'}: {mutant}", flush=True)
            if why:
                wrong[mutant] = why
    except Unsound as error:
        print(f"the tests do not pass as they are, so they can't tell: {error}", file=sys.stderr)
        return 1
    for mutant, why in wrong.items():
        print(f"{mutant}\n  -> {why}; what should see it: {' '.join(mutant.tests)}", file=sys.stderr)
    print(f"{len(chosen) - len(wrong)} of {len(chosen)} mutants are seen")
    return 1 if wrong or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
