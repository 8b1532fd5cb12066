"""What a first setup makes and later ones leave alone: defaults, secrets, CA, certificate, the first user."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.base import files, reading, records, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.wanted import defaults
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings


@dataclass(frozen=True)
class Provisioned:
    """What was written, and the password that was made up (None: none was)."""

    written: tuple[Path, ...] = ()
    password: str | None = None


def provision(
    host: Host,
    disk: Snapshot,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    create: bool,
    restore: bool = False,
) -> Provisioned:
    """Bring the files of /etc up to `settings`; make what is missing if `create`, users that were deleted too if
    `restore`. Safe to repeat and to kill.

    Raises SecregError when something can't be written.
    """
    paths = host.paths
    if create:
        files.make_directory(paths.lib, 0o755)
        files.make_directory(paths.state, 0o700)
        files.make_directory(paths.etc, 0o755)
        files.make_directory(paths.log, 0o750, host.accounts.front.owner)
        make_http_secret(paths.http_secret)
    replaced = _replaced_password(disk, environment)
    facts = defaults.facts(host)
    written = list(defaults.follow(disk, _defaults(host, disk, settings, facts, environment), create=create))
    anew = create and (restore or not disk.ledger.knows(paths.htpasswd))
    more, password = _first_user(disk, settings, create=anew, replaced=replaced)
    if replaced:
        paths.password.unlink(missing_ok=True)
    written += _certificate(disk, settings, facts, create=create)  # last: a bad openssl.cnf holds back nothing else
    return Provisioned(tuple(write.path for write in (*written, *more)), password)


def _replaced_password(disk: Snapshot, environment: Mapping[str, str]) -> bool:
    """Whether .password holds one that we made up and that PASSWORD in the environment replaces now.

    Raises BadInput when the administrator put another one there: which of the two is meant can't be known, and the one
    in the environment would be forgotten at the next edit of the settings.
    """
    given, path = environment.get("PASSWORD", ""), disk.paths.password
    data = disk.read(path, reading.SETTINGS) if given else None
    if data is None or utf8.text(data, str(path)).strip() == given:
        return False
    if not disk.ledger.untouched(path, data):
        hint = "remove the file, or run this without PASSWORD"
        raise BadInput([Problem("environment variable PASSWORD", f"PASSWORD differs from {path}", hint)])
    return True


def renew(host: Host, disk: Snapshot, settings: Settings) -> Provisioned:
    """What has to be done even while secure-registry.conf is broken, by the last good `settings`: a renewal."""
    written = _certificate(disk, settings, defaults.facts(host), create=False)
    return Provisioned(tuple(write.path for write in written))


def _defaults(
    host: Host, disk: Snapshot, settings: Settings, facts: defaults.Facts, environment: Mapping[str, str]
) -> tuple[Write, ...]:
    """All defaults; secure-registry.conf carries what the environment set, so that it lasts."""
    conf = disk.read(host.paths.conf, reading.SETTINGS)
    kept = settings_module.from_file(conf, str(host.paths.conf))[0] if conf else {}
    given = kept | settings_module.from_environment(environment)
    return (defaults.render_conf(host, given), *defaults.render(host, settings, facts))


def defaults_only(
    host: Host, disk: Snapshot, settings: Settings, facts: defaults.Facts, environment: Mapping[str, str]
) -> tuple[Path, ...]:
    """Bring unedited defaults up to fresh `facts`, making those that are missing; returns what was written."""
    wanted = _defaults(host, disk, settings, facts, environment)
    return tuple(write.path for write in defaults.follow(disk, wanted, create=True))


def make_http_secret(path: Path) -> None:
    """The registry's http.secret at `path`, unless it is there: shared by all slots, so that an upload goes on in the
    next one. What stands there and is no file is moved away. Raises SecregError."""
    if reading.content(path) is None:
        files.write_own(path, f"REGISTRY_HTTP_SECRET={secrets.token_hex(32)}\n".encode())


def http_secret(path: Path) -> dict[str, str]:
    """The environment in `path`, for processes that systemd does not start."""
    name, _, value = utf8.text(files.read_or_none(path) or b"", str(path)).strip().partition("=")
    return {name: value} if value else {}


def _certificate(disk: Snapshot, settings: Settings, facts: defaults.Facts, *, create: bool) -> list[Write]:
    """The host's CA and a certificate signed by it, where neither exists and `create`; a renewal when it is due."""
    from secreg_host.wanted import authority

    paths, now = disk.paths, datetime.now(UTC)
    written = authority.restore_ca(disk) if create else []
    missing = not any(map(reading.is_there, (paths.crt, paths.key)))
    if (create and missing) or authority.due(disk, now):
        written += authority.issue(disk, settings, facts, now, authority.Order()).written
    return written


def _first_user(
    disk: Snapshot, settings: Settings, *, create: bool, replaced: bool = False
) -> tuple[list[Write], str | None]:
    """.htpasswd with the first user, and .password when the password is ours to keep.

    An unedited .htpasswd follows USERNAME, PASSWORD and .password. One that was deleted is not brought back but by
    `setup`: until then it admits nobody. One that is linked is the administrator's, also while its target is away.
    replaced: the password is another one, though it stands in no file.
    """
    from secreg_host.formats import hashoptions, users

    paths = disk.paths
    stamp = _stamp(disk, settings)
    seen = records.peek(paths.state / "credentials.json", {"stamp": list})
    if reading.is_there(paths.htpasswd) and seen.get("stamp") == stamp and not replaced:
        return [], None
    try:
        now = disk.read(paths.htpasswd, reading.HTPASSWD)
    except SecregError:
        return [], None  # told by its part
    if now is None and (not create or paths.htpasswd.is_symlink()):
        return [], None
    if now is not None and not disk.ledger.untouched(paths.htpasswd, now):
        return [], None
    password, where = (settings.password, "") if settings.password else _stored_password(disk)
    if now is not None and not password:
        return [], None
    if now is not None and _says(now, settings.username, password):
        records.save(paths.state / "credentials.json", {"stamp": stamp})
        return [], None
    written, made = [], None
    if not password:
        password = made = utf8.shown(base64.b64encode(secrets.token_bytes(32)))
        write = Write(paths.password, f"{password}\n".encode(), files.PRIVATE)
        disk.write([write])
        written.append(write)
    choice = hashoptions.split_options(settings.opt, "OPT")
    try:
        hashed = users.make_hash(password, choice.scheme, choice.cost)
    except BadInput as error:
        where = where or _given_password(disk)
        hint = "write another one, or leave it out: then one is made up"
        raise BadInput([Problem(where, f"the password: {wrong.what}", hint) for wrong in error.problems]) from None
    write = Write(paths.htpasswd, f"{settings.username}:{hashed}\n".encode(), files.SECRET)
    disk.write([write])
    records.save(paths.state / "credentials.json", {"stamp": _stamp(disk, settings)})
    return [*written, write], made


def _stored_password(disk: Snapshot) -> tuple[str, str]:
    """What .password holds ("": nothing), and its place as `file:line`. Raises BadInput when that is no line alone."""
    path = disk.paths.password
    lines = utf8.text(disk.read(path, reading.SETTINGS) or b"", str(path)).split("\n")
    found = [(line.strip(), f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if len(found) > 1:
        hint = "leave the password in it as its only line; or remove the file: then one is made up"
        raise bad_input(found[1][1], "a second line, so it is not known what the password is", hint)
    return found[0] if found else ("", str(path))


def _given_password(disk: Snapshot) -> str:
    """Where PASSWORD is set."""
    conf = disk.paths.conf
    kept, _ = settings_module.from_file(disk.read(conf, reading.SETTINGS) or b"", str(conf))
    return kept["PASSWORD"].where if "PASSWORD" in kept else "environment variable PASSWORD"


def _says(data: bytes, username: str, password: str) -> bool:
    """Whether .htpasswd already holds this user with this password."""
    from secreg_host.formats import users

    found, _ = users.parse(data, "")
    return any(user.name == username and users.verify(password, user.hash) for user in found)


def _stamp(disk: Snapshot, settings: Settings) -> list[str]:
    """What changes when the credentials in settings or .password may have: verifying a hash on each run is slow. Of the
    files as they were read: they may have changed since."""
    return [settings.username, settings.opt, disk.mark(disk.paths.conf), disk.mark(disk.paths.password)]
