"""Files of /etc as editors save them: with a byte order mark they are as without; what is no UTF-8 is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from secreg_host.base import utf8
from secreg_host.base.errors import BadInput
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import nginxconf, users
from secreg_host.host.host import Host
from secreg_host.wanted import authority, defaults, provision, settings
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.settings import Settings

NOW = datetime(2025, 1, 1, tzinfo=UTC)
FACTS = Facts("host", (), ipv6=False)
MARK = utf8.BOM.encode()


@pytest.fixture
def offered(host: Host) -> Host:
    """With the files of a first setup."""
    host.paths.etc.mkdir(parents=True)
    defaults.follow(Snapshot(host.paths), defaults.render(host, Settings(), FACTS), create=True)
    return host


def conf(host: Host) -> object:
    return settings.load(host.paths.conf, host.paths.conf.read_bytes(), {})


def nginx(host: Host) -> object:
    data = host.paths.nginx_conf.read_bytes()
    return nginxconf.bundle(host.paths.nginx_conf, data, lambda _: None).files["nginx.conf"]


def openssl(host: Host) -> object:
    authority.issue(Snapshot(host.paths), Settings(), FACTS, NOW, authority.Order())
    return authority.due(Snapshot(host.paths), NOW)


READ: dict[str, Callable[[Host], object]] = {
    "secure-registry.conf": conf,
    "nginx.conf": nginx,
    "openssl.cnf": openssl,
}


@pytest.mark.parametrize("name", READ)
def test_a_mark_at_the_beginning_changes_nothing(offered: Host, name: str) -> None:
    path = offered.paths.etc / name
    path.write_bytes(path.read_bytes() if path.exists() else b"PORT=8443\n")
    known = READ[name](offered)
    path.write_bytes(MARK + path.read_bytes())
    assert READ[name](offered) == known


@pytest.mark.parametrize("damage", [b"# caf\xe9\n", b"# \0\n"])
@pytest.mark.parametrize("name", READ)
def test_what_is_no_text_is_told_with_its_line(offered: Host, name: str, damage: bytes) -> None:
    path = offered.paths.etc / name
    path.write_bytes(b"# one\n" + damage)
    with pytest.raises(BadInput) as caught:
        READ[name](offered)
    assert caught.value.problems[0].where == f"{path}:2" and caught.value.problems[0].hint == utf8.HINT


def test_a_password_is_what_its_file_says(offered: Host) -> None:
    """Seen: with the mark, or with U+FFFD in the place of what is no UTF-8, as a part of it, nobody could log in."""

    def set_up(password: bytes) -> tuple[users.User, ...]:
        offered.paths.password.write_bytes(password)
        provision.provision(offered, Snapshot(offered.paths), Settings(), {}, create=True, restore=True)
        return users.parse(offered.paths.htpasswd.read_bytes(), "")[0]

    (user,) = set_up(MARK + b"secret\r\n")
    assert users.verify("secret", user.hash)
    with pytest.raises(BadInput) as caught:
        set_up(b"secr\xe9t\n")
    assert caught.value.problems[0].where == f"{offered.paths.password}:1"
    assert users.parse(offered.paths.htpasswd.read_bytes(), "")[0] == (user,)


def test_an_edited_htpasswd_needs_no_password(offered: Host) -> None:
    hashed = users.make_hash("other")
    offered.paths.htpasswd.write_text(f"alice:{hashed}\n")
    offered.paths.password.write_bytes(b"\xff")
    provision.provision(offered, Snapshot(offered.paths), Settings(), {}, create=True)
    assert offered.paths.htpasswd.read_text() == f"alice:{hashed}\n"


def test_users_of_a_damaged_line_are_told_and_others_log_in() -> None:
    hashed = users.make_hash("other")
    found, problems = users.parse(MARK + f"alice:{hashed}\n".encode() + b"b\xe9b:x\n\0bob:x\n", "f")
    assert [user.name for user in found] == ["alice"]
    assert [problem.where for problem in problems] == ["f:2", "f:3"]
    assert "UTF-8" in problems[0].what and "NUL" in problems[1].what
