"""A machine without systemd that has nothing but `make`, as a newcomer's container or CI job: entered, not booted.

    with BareTree("trixie") as bare:
        bare.run("make", "--version")

It has this computer's network, for apt. What apt downloads is kept in the cache for the next one of its release.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from tests.hosts import tree
from tests.hosts.nspawn import Nspawn
from tests.hosts.observe import Observed
from tests.hosts.workspace import Workspace

_FLAVOUR = "make"


class BareTree(Observed):
    """A tree of `release`; what is written to it is gone at the end of the `with`, in which alone it can be used."""

    def __init__(self, release: str) -> None:
        self.name = f"bare-{release}"
        self._base = tree.base(release, _FLAVOUR)
        self._archives = tree.cache() / "archives" / release

    def __enter__(self) -> Self:
        self._archives.mkdir(parents=True, exist_ok=True)
        self._workspace = Workspace((self._base,), self.name, in_memory=True)
        try:
            self._nspawn = Nspawn(
                self._workspace.root,
                self.name,
                None,
                self._workspace.group,
                self._workspace.console,
                {self._archives: "/var/cache/apt/archives"},
                ("sleep", "infinity"),
                boot=False,
            )
        except BaseException:
            self._workspace.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # of those that no mirror has any more
            self.run("apt-get", "--quiet", "autoclean", check=False)
            self._nspawn.kill()
        finally:
            self._workspace.close()

    @property
    def leader(self) -> int:
        return self._nspawn.leader
