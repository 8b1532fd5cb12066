"""One call of the command, as verbs get it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base import quoting
from secreg_host.base.errors import bad_input
from secreg_host.base.paths import Paths
from secreg_host.host import host as hosts
from secreg_host.host.host import Host


@dataclass(frozen=True)
class Call:
    """One call of the command: its arguments, paths and environment."""

    args: argparse.Namespace
    paths: Paths
    environment: Mapping[str, str]
    parser: argparse.ArgumentParser

    def host(self) -> Host:
        """The host. Raises BadInput when we may not change it, and for a root that nginx can't take."""
        if os.geteuid() != 0 and self.paths.root == Path("/"):
            hint = "run it with sudo; or an instance of your own: secure-registry start --foreground --root DIR"
            raise bad_input(str(self.args.verb), "this needs root", hint)
        try:
            quoting.nginx(self.paths.root)
            str(self.paths.root).encode()
        except ValueError:
            raise bad_input(
                "--root",
                "nginx can't take a path with $ or a control character, or one that is not UTF-8",
                "name another directory",
            ) from None
        return hosts.discover(self.paths)
