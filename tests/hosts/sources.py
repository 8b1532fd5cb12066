"""What this machine's apt is set up to use: mirrors and proxies, so that no mirror is named in the project."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_APT = Path("/etc/apt")
_SUFFIXES = ("", "-updates", "-security")
_KNOWN = ("bookworm", "trixie", "forky", "stable", "testing", "unstable", "sid")
_OPTION = re.compile(r"Acquire::(https?::(.*::)?Proxy|Check-Valid-Until|Check-Date|Retries)", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One suite of one archive, for binary packages."""

    uri: str
    suite: str
    components: tuple[str, ...]


def lines_for(release: str) -> list[str]:
    """One-line sources for `release`: its main archive, and its updates and security where this machine has them.

    Raises RuntimeError when this machine's apt knows no Debian archive.
    """
    mirror = os.environ.get("SECREG_TEST_MIRROR")
    if mirror:
        return [f"deb {mirror} {release} main"]
    configured = list(machine_sources())
    main = next((s for s in configured if s.suite in _KNOWN and "main" in s.components), None)
    if main is None:
        raise RuntimeError("this machine's apt sources name no Debian archive: set SECREG_TEST_MIRROR to one")
    wanted = [Source(main.uri, release, ("main",))]
    for suite in (release + suffix for suffix in _SUFFIXES[1:]):
        wanted += [s for s in configured if s.suite == suite and "main" in s.components][:1]
    return [f"deb {source.uri} {source.suite} main" for source in wanted]


def machine_sources() -> Iterator[Source]:
    """Every enabled source of this machine."""
    folder = _APT / "sources.list.d"
    for path in (_APT / "sources.list", *sorted(folder.glob("*.list"))):
        if path.is_file():
            yield from one_line(path.read_text())
    for path in sorted(folder.glob("*.sources")):
        yield from deb822(path.read_text())


def one_line(text: str) -> Iterator[Source]:
    """The sources of a `sources.list`, `deb [options] uri suite component…`."""
    for line in text.splitlines():
        found = re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?([^#]+)", line)
        words = found.group(1).split() if found else []
        if len(words) > 2:
            yield Source(_resolved(words[0]), words[1], tuple(words[2:]))


def deb822(text: str) -> Iterator[Source]:
    """The sources of a `*.sources` file."""
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(_fields(paragraph.splitlines()))
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(_resolved(uri), suite, tuple(fields.get("components", "").split()))


def _fields(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    name, value = "", ""
    for line in lines:
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            value += f" {line.strip()}"
            continue
        if name:
            yield name, value
        name, _, value = (part.strip() for part in line.partition(":"))
        name = name.lower()
    if name:
        yield name, value


def _resolved(uri: str) -> str:
    """`uri`, or the first mirror of the list that a `mirror+file:` uri (Debian's cloud images) names."""
    if not uri.startswith("mirror+file:"):
        return uri
    lines = Path("/" + uri.removeprefix("mirror+file:").lstrip("/")).read_text().splitlines()
    return next(line.split()[0] for line in lines if line.strip() and not line.startswith("#"))


def acquire_options() -> list[str]:
    """This machine's apt options that decide whether a mirror can be reached at all, as `--aptopt` takes them."""
    dump = subprocess.run(
        ["apt-config", "dump", "--no-empty", "--format", "%f %v%n", "Acquire"],
        capture_output=True,
        text=True,
        check=True,
    )
    pairs = (line.partition(" ") for line in dump.stdout.splitlines())
    return [f'{key} "{value}"' for key, _, value in pairs if _OPTION.fullmatch(key)]
