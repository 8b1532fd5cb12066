"""Whether the front may send images from the registry's storage by itself: its user must be able to read them."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from secreg_host import process, quoting
from secreg_host.errors import Problem
from secreg_host.host import Host
from secreg_host.parts import Reading

TREE = "docker/registry/v2"
"""Below rootdirectory, since distribution's version 2 (registry/storage/paths.go)."""

LOOKS = 100
"""Directories that are searched for a sample, and entries of each."""


def checked(host: Host, reading: Reading) -> Reading:
    """`reading` of docker-registry.yml; when the front can't read the storage, with that as a reason and a warning.

    A sample is looked at, so that this takes no longer with more images; what can't be read later is left to the
    registry, request by request.
    """
    part = reading.part
    if part is None or part.facts["root"] is None or part.facts["more"]:
        return reading
    account, root = host.accounts.front, Path(part.facts["root"])
    tests = list(_samples(root))
    script = " && ".join(f'test {flag} "${number}"' for number, (flag, _) in enumerate(tests, 1))
    argv = ["sh", "-c", script, "sh", *(path for _, path in tests)]
    if process.run(process.as_account(argv, account)).returncode == 0:
        return reading
    what = f"nginx (user {account.name}) can't read {root}: downloads take the slow way, through the registry"
    group = host.accounts.registry.name
    quoted = quoting.shell(root)
    warning = Problem(part.sources[0], what, f"chgrp -R {group} {quoted} && chmod -R g+rX {quoted}")
    unread = replace(part, facts=part.facts | {"more": "nginx can't read the storage"})
    return replace(reading, part=unread, warnings=(*reading.warnings, warning))


def _samples(root: Path) -> Iterator[tuple[str, str]]:
    """Tests (test(1)) of the first file that is found for a blob, and for a repository."""
    for below in ("blobs", "repositories"):
        path = root
        for step in (*TREE.split("/"), below):
            if (path / step).is_dir():
                path /= step
        yield "-x", str(path)
        if path.name == below and (found := _first_file(path)):
            yield "-r", str(found)


def _first_file(directory: Path) -> Path | None:
    """A file below `directory`, if one turns up soon."""
    pending = [directory]
    for _ in range(LOOKS):
        if not pending:
            break
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in itertools.islice(entries, LOOKS):
                if entry.is_dir() and entry.name != "_uploads":
                    pending.append(Path(entry.path))
                elif entry.is_file():
                    return Path(entry.path)
    return None
