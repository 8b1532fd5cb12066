"""What is published: the same bytes from any machine, a bill of materials, and a wheel that works where pip put it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secreg_host import __version__
from tests.real.program import CHECKOUT, NOBODY, PYTHON, free_port

pytestmark = pytest.mark.xdist_group("supply")
WHEN = "1790000000"
IGNORED = shutil.ignore_patterns(
    "build", "dist", "config", ".git", ".*_cache", "__pycache__", "*.egg-info", ".hypothesis"
)
SYSTEM = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
NETWORK = {
    name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("proxy")
}


def build(place: Path, umask: int, **environment: str) -> dict[str, str]:
    """Every artifact, made of a copy of the checkout at `place`; digests by name."""
    shutil.copytree(CHECKOUT, place, ignore=IGNORED, symlinks=True)
    for path in [place, *place.rglob("*")]:  # as a checkout under this umask would be
        path.chmod((0o777 if path.is_dir() or path.stat().st_mode & 0o100 else 0o666) & ~umask)
    argv = ["make", "-f", "packaging/Makefile", "deb", "rpm", "python", "sbom", "sums", f"TOOLS={sys.executable}"]
    given = SYSTEM | {"HOME": str(place), "SOURCE_DATE_EPOCH": WHEN} | environment
    done = subprocess.run(argv, cwd=place, env=given, umask=umask, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (place / "dist").iterdir()}


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Path, dict[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="srs-") as directory:
        Path(directory).chmod(0o755)
        place = Path(directory) / "one"
        yield place / "dist", build(place, 0o022, TZ="UTC")


@pytest.mark.promise("reproducible")
def test_two_builds_give_the_same_bytes(built: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """In another directory, with another umask, time zone and language; DEB, RPM, source, wheel, SBOM and sums."""
    first = built[1]
    kinds = (".deb", ".noarch.rpm", ".src.rpm", ".tar.gz", ".whl", ".cdx.json", "SHA256SUMS")
    assert all(any(name.endswith(kind) for name in first) for kind in kinds) and len(first) == len(kinds)
    other = build(tmp_path / "a-longer-name/of-another-place", 0o077, TZ="Pacific/Kiritimati", LC_ALL="C")
    assert first == other


@pytest.mark.promise("reproducible")
def test_the_bill_of_materials(built: tuple[Path, dict[str, str]]) -> None:
    """It holds the digest of each package, and what each declares to need, taken from the package itself."""
    dist, digests = built
    (path,) = dist.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    known = {part["bom-ref"]: part for part in bill["components"]}
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in bill["dependencies"]}
    packages = {name for name in digests if name.endswith((".deb", ".rpm", ".tar.gz", ".whl"))}
    assert set(needs["secure-registry"]) == packages
    for name in packages:
        assert known[name]["hashes"] == [{"alg": "SHA-256", "content": digests[name]}]
    for suffix, some in (
        (".deb", {"pkg:deb/debian/nginx", "pkg:deb/debian/docker-registry", "pkg:deb/debian/python3-pydbus"}),
        (
            ".noarch.rpm",
            {"pkg:rpm/fedora/nginx", "pkg:rpm/fedora/docker-distribution", "pkg:rpm/fedora/python3-pydbus"},
        ),
        (".whl", {"pkg:pypi/cryptography", "pkg:pypi/pydbus", "pkg:pypi/watchdog", "pkg:pypi/jinja2"}),
    ):
        (name,) = (name for name in packages if name.endswith(suffix))
        assert some <= set(needs[name]), needs[name]
        assert all(known[ref]["scope"] in ("required", "optional") for ref in needs[name])


def test_the_source_rpm_is_built_with_the_macros_of_fedora(built: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Where there are macros, they are used, not our stand-ins; what is built with is asked for by its name there."""
    (source,) = built[0].glob("*.src.rpm")
    macros = {"fedora": "42", "dist": ".fc42", "_unitdir": "/usr/lib/systemd/system", "__os_install_post": "%{nil}"}
    macros |= {f"systemd_{name}()": f"FEDORAS_{name.upper()} %*" for name in ("post", "preun")}
    macros |= {"_topdir": str(tmp_path), "_dbpath": str(tmp_path / "db")}
    given: list[str | Path] = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    given.append(source)
    refused = subprocess.run(["rpmbuild", "--rebuild", *given], env=SYSTEM, capture_output=True, text=True)
    assert "systemd-rpm-macros is needed" in refused.stderr and "/usr/bin/checkmodule is needed" in refused.stderr
    argv: list[str | Path] = ["rpmbuild", "--rebuild", "--quiet", "--nodeps", *given]
    subprocess.run(argv, env=SYSTEM, check=True, capture_output=True)
    (made,) = tmp_path.glob("RPMS/noarch/secure-registry-*-1.fc42.noarch.rpm")
    argv = ["rpm", "--query", "--package", "--scripts", "--nosignature", str(made)]
    scripts = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    for name in ("POST", "PREUN"):
        assert f"FEDORAS_{name} secure-registry.service" in scripts
    assert "systemctl --no-reload" not in scripts


@pytest.mark.promise("release")
def test_release_wants_a_clean_tree(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "Makefile", tmp_path / "Makefile")

    def release() -> str:
        done = subprocess.run(["make", "release"], cwd=tmp_path, env=SYSTEM, capture_output=True, text=True)
        assert done.returncode != 0
        return done.stdout

    assert "from a commit, in a clone" in release()
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "-C", str(tmp_path), *who, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    said = release()
    assert "commit or remove these first" in said and "?? Makefile" in said


@pytest.fixture(scope="module")
def venv(built: tuple[Path, dict[str, str]]) -> Path:
    """A clean environment of the distribution's Python."""
    path = built[0].parent / "venv"
    subprocess.run([PYTHON, "-m", "venv", str(path)], check=True, env=SYSTEM)
    return path


def pip_install(venv: Path, *what: str) -> Path:
    argv = [str(venv / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", *what]
    done = subprocess.run(argv, env=SYSTEM | NETWORK, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    subprocess.run(["chmod", "-R", "a+rX", str(venv)], check=True)
    return venv / "bin/secure-registry"


def as_nobody(*argv: str) -> list[str]:
    if os.geteuid() != 0:
        return list(argv)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *argv]


@pytest.mark.promise("wheel")
def test_the_wheel_in_a_clean_environment(built: tuple[Path, dict[str, str]], venv: Path) -> None:
    """With the newest of what it needs (passlib 1.7.4 and bcrypt 5 among them): hashes, and an instance that serves."""
    (wheel,) = built[0].glob("*.whl")
    program = pip_install(venv, str(wheel))

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(as_nobody(str(program), *argv), env=SYSTEM, capture_output=True, text=True, timeout=60)

    assert run("--version").stdout == f"secure-registry {__version__}\n"
    for option, start in (("-B", "alice:$2"), ("-5", "alice:$6$"), ("-m", "alice:$apr1$")):
        made = run("htpasswd", "--root", str(built[0].parent), "-nb", option, "alice", "secret")
        assert made.stdout.startswith(start) and made.stderr == "", made
    port = free_port()
    argv = as_nobody(str(program), "start", "--foreground", "--disposable")
    given = SYSTEM | {"PORT": str(port)}
    with subprocess.Popen(argv, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        limit = threading.Timer(60, process.kill)
        limit.start()
        said = []
        for line in process.stdout:
            said.append(line)
            if "log in with" in line:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                link = http.client.HTTPSConnection("localhost", port, context=context, timeout=20)
                link.request("GET", "/v2/")
                assert link.getresponse().status == 401
                process.send_signal(signal.SIGTERM)
        limit.cancel()
    assert any("log in with" in line for line in said) and process.returncode == 0, "".join(said)


def as_in_checkout(listing: str) -> set[str]:
    """The program's files, its templates and its units in a package's `listing`, by their names in the checkout."""
    words = listing.replace("systemd/system/", "/units/").replace("secreg_host/templates/", "templates/").split()
    ours = [re.search(r"(?<![^/])(secreg_host|templates|units)/\S*[^\s/]$", word) for word in words]
    found = {one[0] for one in ours if one}
    return {name for name in found if not any(other.startswith(f"{name}/") for other in found)}


def test_every_package_holds_every_file(built: tuple[Path, dict[str, str]]) -> None:
    """DEB, RPM, wheel and source: each file of the program, its templates and its units (no wheel), and no other."""
    here = {
        str(path.relative_to(CHECKOUT))
        for top in ("secreg_host", "templates", "units")
        for path in (CHECKOUT / top).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    listings = {
        "*.deb": ["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar --list'],
        "*.noarch.rpm": ["rpm", "--query", "--list", "--package"],
        "*.whl": [sys.executable, "-m", "zipfile", "--list"],
        "secure_registry*.tar.gz": ["tar", "--list", "--gzip", "--file"],
    }
    for pattern, argv in listings.items():
        (package,) = built[0].glob(pattern)
        names = subprocess.run([*argv, str(package)], check=True, capture_output=True, text=True, env=SYSTEM).stdout
        units = {name for name in here if name.startswith("units/")}
        assert as_in_checkout(names) == (here - units if pattern == "*.whl" else here), pattern


def test_the_source_distribution(built: tuple[Path, dict[str, str]], venv: Path) -> None:
    """pip builds it; it holds what packages are made from, too."""
    (source,) = built[0].glob("*.tar.gz")
    pip_install(venv, "--no-deps", "--force-reinstall", str(source))
    found = list((venv / "lib").glob("python3*/site-packages/secreg_host/templates/units/*.j2"))
    assert {path.name for path in found} >= {"nginx.service.j2", "sandbox.j2"}
    names = subprocess.run(["tar", "--list", "-f", str(source)], check=True, capture_output=True, text=True).stdout
    for name in ("Makefile", "packaging/secure-registry.spec", "units/secure-registry.service", "tests/conftest.py"):
        assert f"/{name}\n" in names
