"""What a first setup makes and later ones leave alone: defaults, secrets, CA, certificate, the first user."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.base import appended, files, logs, reading, utf8
from secreg_host.base.errors import Problem
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.wanted import adoption, defaults, firstuser
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import Settings


@dataclass(frozen=True)
class Provisioned:
    """What was written, the password that was made up (None: none was), and what has no effect."""

    written: tuple[Path, ...] = ()
    password: str | None = None
    warnings: tuple[Problem, ...] = ()

    def after(self, before: Provisioned) -> Provisioned:
        """The same, with what was written `before`."""
        return replace(self, written=(*before.written, *self.written))


def provision(
    host: Host,
    disk: Snapshot,
    settings: Settings,
    environment: Mapping[str, str],
    *,
    create: bool,
    restore: bool = False,
    fresh: bool = False,
) -> Provisioned:
    """Bring the files of /etc up to `settings`; make what is missing if `create`, users that were deleted too if
    `restore`. fresh: nothing ever served here, so that the CA follows the settings, too. Safe to repeat and to kill.

    Raises SecregError when something can't be written.
    """
    paths = host.paths
    if create:
        files.make_directory(paths.lib, 0o755)
        files.make_directory(paths.state, 0o700)
        files.make_directory(paths.etc, 0o755)
        _make_log(host)
        make_http_secret(paths.http_secret)
    facts = defaults.facts(host)
    written = list(defaults.follow(disk, _defaults(host, disk, settings, facts, environment), create=create))
    user = first_user(disk, settings, environment, create=create, restore=restore)
    # last: a bad openssl.cnf holds back nothing else
    written += _certificate(disk, settings, facts, create=create, fresh=fresh)
    return Provisioned(tuple(write.path for write in (*written, *user.written)), user.password, user.warnings)


def first_user(
    disk: Snapshot, settings: Settings, environment: Mapping[str, str], *, create: bool, restore: bool = False
) -> firstuser.Made:
    """Let .htpasswd have the user of `settings` (`firstuser.follow`), for a call with this `environment`."""
    return firstuser.follow(disk, settings, create=create, restore=restore, given=bool(environment.get("PASSWORD")))


def _make_log(host: Host) -> None:
    """The directory of the front's logs, and in it root's log of who did what, before the front's sandbox hides it."""
    _make_log_directory(host)
    if host.accounts.front.uid != os.geteuid() and not reading.is_there(logs.audit(host.paths)):
        with contextlib.suppress(OSError):  # who writes there says so
            appended.append(logs.audit(host.paths), b"", files.SECRET)


def _make_log_directory(host: Host) -> None:
    """One that passes its group on to what is in it, as the packages make it, stays."""
    with contextlib.suppress(OSError):
        found = host.paths.log.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISGID and found.st_uid == host.accounts.front.uid:
            return
    files.make_directory(host.paths.log, 0o750, host.accounts.front.owner)


def check(disk: Snapshot, environment: Mapping[str, str]) -> None:
    """Raise BadInput, before anything is changed, when what `environment` sets is bad, or would not last."""
    adoption.asked(disk, environment)
    firstuser.check(disk, environment)


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


def _certificate(
    disk: Snapshot, settings: Settings, facts: defaults.Facts, *, create: bool, fresh: bool = False
) -> list[Write]:
    """The host's CA and a certificate signed by it, where neither exists and `create`; a renewal when it is due. While
    all is `fresh`, by a new CA where the one that setup made may not sign what is asked for."""
    from secreg_host.wanted import authority

    paths, now = disk.paths, datetime.now(UTC)
    written = authority.restore_ca(disk) if create else []
    missing = not any(map(reading.is_there, (paths.crt, paths.key)))
    outgrown = fresh and authority.outgrown(disk, settings)
    if (create and (missing or outgrown)) or authority.due(disk, now):
        written += authority.issue(disk, settings, facts, now, authority.Order(new_ca=outgrown)).written
    return written
