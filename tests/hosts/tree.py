"""Base trees: one Debian installation per release and flavour, built once, never written to afterwards.

A tree lives under the cache directory (`SECREG_TEST_CACHE`, default /var/cache/secure-registry-tests) with a name that
holds the digest of its recipe: another recipe is another tree, and what has not its final name is a build that did not
finish. Packages that the product depends on are in its apt cache, downloaded but not installed.

The mirror is the one that this machine's own apt uses; `SECREG_TEST_MIRROR` overrides it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.hosts import sources

RELEASES = ("bookworm", "trixie")
"""What most tests run on; the story of the package is told on testing, too."""

FORMAT = 3  # part of the digest: raise it when `build` changes in a way that the recipe doesn't show

_BASE = (
    "systemd systemd-sysv dbus libpam-systemd iproute2 iptables curl procps ca-certificates openssl "
    "debian-archive-keyring"
)
_RPM = (
    "rpm dnf selinux-policy-default setools logrotate docker.io nginx docker-registry python3-gi python3-passlib "
    "python3-watchdog python3-jinja2 python3-cryptography python3-yaml python3-bcrypt python3-aiohttp"
)
FLAVOURS = {
    "make": "make",
    "bare": _BASE,
    "docker": f"{_BASE} docker.io skopeo",
    "clients": f"{_BASE} docker.io skopeo podman busybox-static",
    "rpm": f"{_BASE} {_RPM}",
}
"""`make` is for BareTree. `rpm` acts as a host of Red Hat's family does: all that the package needs is there, but what
EL has not (pydbus)."""
DOWNLOADED = (
    "nginx libnginx-mod-http-js docker-registry python3 python3-pydbus python3-passlib python3-watchdog python3-jinja2 "
    "python3-cryptography python3-yaml python3-bcrypt python3-aiohttp python3-argcomplete python3-tqdm logrotate"
)
DOWNLOADED_TOO = {"clients": "docker.io"}
"""Packages that are installed in a flavour and in its apt cache as well: to be removed and installed again."""
_PROGRAMS = {"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nsenter": "util-linux", "ps": "procps"}


_UNUSED_AFTER = 14 * 24 * 3600.0


class Unavailable(RuntimeError):
    """Hosts can't be booted on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is in a tree."""

    release: str
    flavour: str
    packages: tuple[str, ...]
    downloaded: tuple[str, ...]
    sources: tuple[str, ...]
    apt_options: tuple[str, ...]
    format: int = FORMAT

    @property
    def name(self) -> str:
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.release}-{self.flavour}-{digest[:12]}"


def require() -> None:
    """Raise Unavailable unless this machine can build and boot trees."""
    missing = sorted({package for program, package in _PROGRAMS.items() if not shutil.which(program)})
    if missing:
        raise Unavailable(f"packages are missing: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise Unavailable("booting a host needs root")


def cache() -> Path:
    """The cache directory, made if need be."""
    path = Path(os.environ.get("SECREG_TEST_CACHE") or "/var/cache/secure-registry-tests")
    path.mkdir(parents=True, exist_ok=True)
    return path


def recipe(release: str, flavour: str = "docker") -> Recipe:
    """What `base(release, flavour)` is made from on this machine."""
    if flavour not in FLAVOURS:
        raise ValueError(f"no flavour {flavour!r}, there are {', '.join(sorted(FLAVOURS))}")
    options = [*sources.acquire_options(), 'Acquire::Languages "none"']
    if release in ("testing", "unstable", "sid"):
        options.append('Acquire::Check-Valid-Until "false"')
    packages = FLAVOURS[flavour].split()
    if "docker.io" in packages and release != "bookworm":
        packages.append("docker-cli")  # only recommended there; in bookworm docker.io has it
    return Recipe(
        release,
        flavour,
        tuple(packages),
        () if flavour in ("make", "rpm") else tuple(f"{DOWNLOADED} {DOWNLOADED_TOO.get(flavour, '')}".split()),
        tuple(sources.lines_for(release)),
        tuple(dict.fromkeys(options)),
    )


def base(release: str, flavour: str = "docker") -> Path:
    """The tree of `release`, built now if it isn't cached (25 s). Nobody may write into it."""
    require()
    wanted = recipe(release, flavour)
    trees = cache() / "trees"
    trees.mkdir(exist_ok=True)
    path = trees / wanted.name
    used = trees / f"{wanted.name}.used"
    used.touch()
    if path.is_dir():
        return path
    with _locked(trees / ".lock"):
        if not path.is_dir():  # else another run built it while we waited
            for left in trees.glob("*.part"):
                shutil.rmtree(left)
            _forget_unused(trees)
            part = trees / f"{wanted.name}.part"
            _build(wanted, part)
            part.rename(path)
    return path


def _forget_unused(trees: Path) -> None:
    """Remove the trees that no run has asked for in two weeks: those of recipes that are no more."""
    for used in trees.glob("*.used"):
        if used.stat().st_mtime < time.time() - _UNUSED_AFTER:
            shutil.rmtree(used.with_suffix(""), ignore_errors=True)
            used.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(wanted: Recipe, path: Path) -> None:
    # mmdebstrap's own apt settings, without recommended packages, are in the environment of its hooks
    options = "--download-only --reinstall --yes --quiet --option=APT::Install-Recommends=true"
    download = f'chroot "$1" apt-get {options} install {" ".join(wanted.downloaded)}' if wanted.downloaded else "true"
    argv = [
        "mmdebstrap",
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        f"--include={','.join(wanted.packages)}",
        *(f"--aptopt={option}" for option in wanted.apt_options),
        "--skip=cleanup/apt",  # lists and archives stay, for `apt-get install` on the booted host
        '--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb',  # those that are installed
        f"--customize-hook={download}",
        '--customize-hook=systemctl --root="$1" mask apt-daily.timer apt-daily-upgrade.timer',  # they take apt's lock
        # empty, not missing: a host of its own at every start of it, but no "first boot" that applies all presets
        '--customize-hook=rm -f "$1"/etc/hostname && : >"$1"/etc/machine-id',
        wanted.release,
        str(path),
        *wanted.sources,
    ]
    log = path.with_suffix(".log")
    with log.open("w") as output:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        said = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"mmdebstrap {wanted.release} failed:\n{said}")
    log.unlink()
