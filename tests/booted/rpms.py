"""RPM packages for tests: ours as a newer version, and stand-ins for what Fedora and EL package."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
BASE = {"base": "1", "python3": "3.12.9", "systemd": "257", "util-linux": "2.40"}
"""What each host has. `base` provides the programs that rpm finds in scripts by itself."""

PYTHON = dict.fromkeys(
    (
        "python3-aiohttp",
        "python3-bcrypt",
        "python3-cryptography",
        "python3-gobject-base",
        "python3-jinja2",
        "python3-passlib",
        "python3-pyyaml",
        "python3-watchdog",
    ),
    "1",
)
EL10 = BASE | PYTHON | {"nginx": "1.26", "logrotate": "3", "redhat-release": "10"}
EL9 = EL10 | {"python3": "3.9.21", "redhat-release": "9"}
FEDORA = BASE | PYTHON | {"nginx": "1.28", "logrotate": "3", "docker-distribution": "2.8.3", "python3-pydbus": "0.6.0"}
FEDORA |= {"fedora-release-common": "42"}


def _rpmbuild(topdir: Path, spec: Path, *options: str) -> None:
    defines = {"_topdir": str(topdir), "_rpmdir": str(topdir), "_dbpath": str(topdir / "db")}
    given = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    given += ["--define", "_build_name_fmt %%{NAME}-%%{VERSION}.rpm"]
    argv = ["rpmbuild", "--quiet", "-bb", *given, *options, str(spec)]
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def repository(target: Path, packages: Mapping[str, str]) -> Path:
    """A repository of empty packages (name -> version) in the directory `target`."""
    target.mkdir(parents=True)
    lines = ["Name: stubs", "Version: 0", "Release: 1", "Summary: -", "License: -", "BuildArch: noarch"]
    lines += ["AutoReqProv: no", "%description"]
    for name, version in packages.items():
        lines += [f"%package -n {name}", f"Version: {version}", "Summary: -"]
        if name == "base":
            lines += ["Provides: /bin/sh /usr/bin/sh /usr/bin/python3"]
        lines += [f"%description -n {name}", f"%files -n {name}"]
    spec = target / "stubs.spec"
    spec.write_text("\n".join(lines) + "\n")
    _rpmbuild(target, spec)
    subprocess.run(["createrepo_c", "--quiet", str(target)], check=True)
    return target


def newer(target: Path, version: str) -> Path:
    """Our package as `version`, with a change in two templates that unedited files follow, and in a shipped config."""
    target.mkdir(parents=True)
    for name in ("secreg_host", "templates", "units", "packaging", "docs"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, target / name)
    for path, pattern in (("setup.cfg", r"(?m)^version = .*"), ("packaging/secure-registry.spec", r"(?m)^Version: .*")):
        text = (target / path).read_text()
        mark = "version = " if path == "setup.cfg" else "Version: "
        (target / path).write_text(re.sub(pattern, mark + version, text, count=1))
    code = target / "secreg_host/__init__.py"
    code.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', code.read_text()))
    for path in ("templates/etc/nginx.conf.j2", "templates/etc/docker-registry.yml.j2", "packaging/logrotate.d"):
        file = target / path / "secure-registry" if path.endswith(".d") else target / path
        file.write_text("# of the new version\n" + file.read_text())
    argv = ["make", "--silent", "-f", "packaging/Makefile", "rpm"]
    subprocess.run(argv, cwd=target, check=True, capture_output=True, text=True)
    return target / f"dist/secure-registry-{version}-1.noarch.rpm"
