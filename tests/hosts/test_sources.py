"""The mirror comes from this machine's apt, whichever way it is written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts import sources
from tests.hosts.sources import Source

ONE_LINE = """\
# deb http://off.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib  # why
deb-src http://mirror.test/debian bookworm main
deb http://flat.test/debian ./
"""

DEB822 = """\
Types: deb deb-src
# a remark
URIs: http://mirror.test/debian
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
Enabled: no
"""


def test_one_line_sources() -> None:
    assert list(sources.one_line(ONE_LINE)) == [Source("http://mirror.test/debian", "bookworm", ("main", "contrib"))]


def test_deb822_sources() -> None:
    assert list(sources.deb822(DEB822)) == [
        Source("http://mirror.test/debian", "bookworm", ("main", "contrib")),
        Source("http://mirror.test/debian", "bookworm-updates", ("main", "contrib")),
    ]


def test_mirror_list_of_cloud_images(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("# mirrors\nhttps://mirror.test/debian\tpriority:1\n")
    assert [source.uri for source in sources.one_line(f"deb mirror+file:{mirrors} trixie main")] == [
        "https://mirror.test/debian"
    ]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECREG_TEST_MIRROR", raising=False)
    found = [
        Source("http://vendor.test", "nodistro", ("main",)),
        Source("http://mirror.test/debian", "bookworm", ("main",)),
        Source("http://security.test", "bookworm-security", ("main",)),
    ]
    monkeypatch.setattr(sources, "machine_sources", lambda: iter(found))


@pytest.mark.usefixtures("configured")
def test_own_release_has_its_security_updates() -> None:
    assert sources.lines_for("bookworm") == [
        "deb http://mirror.test/debian bookworm main",
        "deb http://security.test bookworm-security main",
    ]


@pytest.mark.usefixtures("configured")
def test_another_release_has_the_same_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.lines_for("trixie") == ["deb http://mirror.test/debian trixie main"]
    monkeypatch.setenv("SECREG_TEST_MIRROR", "http://given.test")
    assert sources.lines_for("trixie") == ["deb http://given.test trixie main"]


def test_no_debian_mirror_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECREG_TEST_MIRROR", raising=False)
    monkeypatch.setattr(sources, "machine_sources", lambda: iter(()))
    with pytest.raises(RuntimeError, match="SECREG_TEST_MIRROR"):
        sources.lines_for("trixie")
