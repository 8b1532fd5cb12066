"""The directory of one machine on our disk: its overlay, docker's data, its console; and what a killed run left behind.

A workspace is owned by whoever holds the lock on its `owner` file. A lock dies with its process, so one that can be
taken marks a left-over: what still runs in its control group is killed, and it is removed.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.hosts import tree
from tests.hosts.cgroup import ControlGroup


class Workspace:
    """`root` is the trees in `lower`, first on top; what is written to it goes to `upper`, in memory or on the disk."""

    def __init__(self, lower: Sequence[Path], name: str, in_memory: bool) -> None:
        self._runs = tree.cache() / "run"
        self._runs.mkdir(exist_ok=True)
        with _locked(self._runs):
            _sweep(self._runs)
            self.path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._runs))
            self._owner = (self.path / "owner").open("w")
            fcntl.flock(self._owner, fcntl.LOCK_EX)
        self.path.chmod(0o755)
        self.group = ControlGroup.below_ours(self.path.name)
        (self.path / "group").write_text(str(self.group.path))
        self.root = self.path / "root"
        self.console = self.path / "console"
        self.upper = self.path / "written" / "upper"
        options = f"lowerdir={':'.join(map(str, lower))},upperdir={self.upper},workdir={self.upper.with_name('work')}"
        try:
            (self.path / "written").mkdir()
            if in_memory:
                _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.path / "written"))
            for folder in (self.root, self.upper, self.upper.with_name("work")):
                folder.mkdir()
            _mount("-t", "overlay", "-o", options, "overlay", str(self.root))
        except BaseException:
            self.close()
            raise

    def folder(self, name: str) -> Path:
        """A directory on the disk, never in memory, for what is too big for an overlay or can't live on one."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        return path

    def close(self) -> None:
        """Kill what still runs in it, unmount and remove everything."""
        self.group.remove()
        with _locked(self._runs):
            _remove(self.path)
        self._owner.close()


def _sweep(runs: Path) -> None:
    """Remove the workspaces under `runs` that nobody owns any more."""
    for path in runs.iterdir():
        if not path.is_dir():
            continue
        with (path / "owner").open("a") as owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            group = path / "group"
            if group.exists():
                ControlGroup(Path(group.read_text())).remove()
            _remove(path)


def _remove(path: Path) -> None:
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in mounted if Path(p).is_relative_to(path)), reverse=True):
        # detached at once, freed when the last user (another machine's mount namespace, in passing) lets go
        subprocess.run(["umount", "--lazy", point], check=True)
    shutil.rmtree(path)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
