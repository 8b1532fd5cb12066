"""The first user: USERNAME, PASSWORD and .password add that user to .htpasswd or change it, and take nobody away."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from secreg_host.base import files, marks, quoting, reading, records, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.base.paths import Paths
from secreg_host.base.records import Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import robots, userlines
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted import unheard
from secreg_host.wanted.settings import Settings

RECORD: dict[Any, records.Shape] = {
    **dict.fromkeys(("users", "made_for", "hash", "named", "was"), str),
    "stamp": list,
    "password": [str],
}
"""What is remembered: `_stamp` and the mark of .htpasswd when they were looked at last; whose password .password is, if
it was made up, and the digest of that user's hash when it was right; the USERNAME that was a user's last; of a password
that somebody wrote down, of what it was judged last, and how, and the hash in .htpasswd for which it was right."""


@dataclass(frozen=True)
class Made:
    """What was written, the password that was made up (None: none was), and what has no effect."""

    written: tuple[Write, ...] = ()
    password: str | None = None
    warnings: tuple[Problem, ...] = ()


def check(disk: Snapshot, environment: Mapping[str, str]) -> None:
    """Raise BadInput when the administrator put another password into .password than PASSWORD in `environment` says:
    which of the two is meant can't be known, and the one in the environment would be forgotten at the next edit. And
    when USERNAME stands alone for somebody who is no user: there is no password to add that user with."""
    _check_name(disk, environment)
    given, path = environment.get("PASSWORD", ""), disk.paths.password
    data = disk.read(path, reading.SETTINGS) if given else None
    if data is None or utf8.text(data, str(path)).strip() == given or disk.ledger.untouched(path, data):
        return
    hint = "remove the file, or run this without PASSWORD"
    raise BadInput([Problem("environment variable PASSWORD", f"differs from {path}", hint)])


def _check_name(disk: Snapshot, environment: Mapping[str, str]) -> None:
    kept, _ = settings_module.from_file(disk.peek(disk.paths.conf, reading.SETTINGS), str(disk.paths.conf))
    given = settings_module.from_environment(environment)
    name = given["USERNAME"].value if "USERNAME" in given else ""
    now = kept["USERNAME"].value if "USERNAME" in kept else Settings.username
    data = disk.peek(disk.paths.htpasswd, reading.HTPASSWD)
    if name in ("", now) or not reading.is_there(disk.paths.htpasswd) or userlines.has_line(data, name):
        return
    stored = disk.peek(disk.paths.password, reading.SETTINGS)
    written = stored.strip() and not disk.ledger.untouched(disk.paths.password, stored)  # not made up
    told = written or ("PASSWORD" in kept and kept["PASSWORD"].value)
    if environment.get("PASSWORD") or (told and disk.ledger.untouched(disk.paths.htpasswd, data)):
        return
    what = f"there is no such user in {disk.paths.htpasswd}, and without PASSWORD none can be added"
    hint = f"set PASSWORD, too; or: secure-registry htpasswd {quoting.shell(name)}"
    raise BadInput([given["USERNAME"].problem("USERNAME", what, hint)])


def follow(disk: Snapshot, settings: Settings, *, create: bool, restore: bool, given: bool) -> Made:
    """Let .htpasswd have the user of `settings`, with its password, or the one in .password, which is made up where
    there is none; and take .password away once it is not true any more, if it was made up.

    create: make .htpasswd where there is none. One that was deleted admits nobody until it is to be `restore`d; one
    that was to be made by a run that was cut was not deleted. One that is linked is the administrator's, also while its
    target is away. given: the password was typed just now, so that it counts whoever edited .htpasswd; else an edited
    one is left as it is.

    Raises SecregError when something can't be written, and when the password was `given` and nobody can get it.
    """
    paths = disk.paths
    known = records.peek(_record(paths), RECORD)
    had = disk.ledger.knows(paths.htpasswd) and "stamp" in known  # the one before it is written, the other after that
    seen = (known.get("stamp"), known.get("users")) == (_stamp(disk, settings), disk.mark(paths.htpasswd))
    if seen and "was" in known and not given and reading.is_there(paths.htpasswd):
        return Made()
    try:
        now = disk.read(paths.htpasswd, reading.HTPASSWD)
    except SecregError:
        if given:
            raise
        return Made()  # told by its part
    made = _followed(disk, settings, now, known, create=create and (restore or not had), given=given)
    if made.password is None:
        _drop_untrue(disk, settings, known)
    named = _named(disk, settings, known)
    latest = records.peek(_record(paths), RECORD)
    judged, unheard_of = unheard.password(disk, settings, latest)
    with contextlib.suppress(SecregError):  # a full disk: the next run looks again
        _remember(disk, latest, users=disk.mark(paths.htpasswd), named=named, **judged)
    nobody = unheard.name(disk, settings) if settings.username != named else ()
    return replace(made, warnings=nobody or unheard_of)


def _named(disk: Snapshot, settings: Settings, known: Mapping[str, Any]) -> str:
    """The USERNAME that was a user's last: who is removed was one."""
    data = disk.peek(disk.paths.htpasswd, reading.HTPASSWD)
    before = known.get("named") or next(iter(known.get("stamp", ())), "")
    return settings.username if userlines.has_line(data, settings.username) else str(before)


def _followed(
    disk: Snapshot, settings: Settings, now: bytes | None, known: Mapping[str, Any], *, create: bool, given: bool
) -> Made:
    from secreg_host.formats import hashoptions, users

    paths, stamp = disk.paths, _stamp(disk, settings)
    if now is None and (not create or paths.htpasswd.is_symlink()):
        if given:
            hint = "bring it back; or have a new one made: secure-registry setup, with the same PASSWORD"
            raise bad_input(str(paths.htpasswd), "does not exist, so nobody can be added to it", hint)
        return Made()
    edited = now is not None and not disk.ledger.untouched(paths.htpasswd, now)
    if not given and (edited or (now is not None and known.get("stamp") == stamp)):
        return Made()
    stored, where = ("", "") if settings.password else _stored(disk, settings, now, known)
    password = settings.password or stored
    if now is not None and not password:
        return Made()
    if now is not None and _says(now, settings.username, password):
        _remember(disk, known, stamp=stamp)
        return Made()
    written, made = [], None
    if not password:
        password = made = utf8.shown(base64.b64encode(secrets.token_bytes(32)))
        written.append(Write(paths.password, f"{password}\n".encode(), files.PRIVATE))
        disk.write(written)
    _no_robot(disk, settings.username, now or b"")
    choice = hashoptions.split_options(settings.opt)
    try:
        line = f"{settings.username}:{users.make_hash(password, choice.scheme, choice.cost)}"
    except BadInput as error:
        where = where or _given(disk)
        hint = "write another one, or leave it out: then one is made up"
        raise BadInput([Problem(where, f"the password: {wrong.what}", hint) for wrong in error.problems]) from None
    data = userlines.with_line(now or b"", settings.username, line.encode())
    write = Write(paths.htpasswd, data, files.SECRET)
    if edited:
        disk.edit(paths.htpasswd, data)
    else:
        disk.write([write])
    owner = {"made_for": settings.username, "hash": marks.digest(line.encode())} if made else {}
    _remember(disk, known, stamp=_stamp(disk, settings), **owner)
    return Made((*written, write), made)


def _no_robot(disk: Snapshot, name: str, now: bytes) -> None:
    """Raise BadInput for a new user who is called as robots are."""
    if robots.is_reserved(name) and not userlines.has_line(now, name):
        what = f"USERNAME={name}: names that begin with {robots.PREFIX} are those of robots"
        raise bad_input(str(disk.paths.conf), what, "choose another one; or make a robot: secure-registry token create")


def _stored(disk: Snapshot, settings: Settings, now: bytes | None, known: Mapping[str, Any]) -> tuple[str, str]:
    """The password in .password, and its place as `file:line`, if it is to count for the user of `settings`: not one
    that was made up for somebody else, nor one that was made up and looked at before, for a user who has one of his own
    meanwhile. Raises BadInput when that is no line alone."""
    data = disk.read(disk.paths.password, reading.SETTINGS) or b""
    if now is not None and disk.ledger.untouched(disk.paths.password, data):
        stamp = known.get("stamp") or [""] * len(_stamp(disk, settings))
        there = userlines.has_line(now, settings.username)
        if _owner(known, settings) != settings.username or (there and stamp[-1] == disk.mark(disk.paths.password)):
            return "", ""
    path = disk.paths.password
    lines = utf8.text(data, str(path)).split("\n")
    found = [(line.strip(), f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if len(found) > 1:
        hint = "leave the password in it as its only line; or remove the file: then one is made up"
        raise bad_input(found[1][1], "a second line, so it is not known what the password is", hint)
    return found[0] if found else ("", str(path))


def _owner(known: Mapping[str, Any], settings: Settings) -> str:
    """Whose password was made up."""
    return str(known.get("made_for") or next(iter(known.get("stamp", ())), settings.username))


def _given(disk: Snapshot) -> str:
    """Where PASSWORD is set."""
    conf = disk.paths.conf
    kept, _ = settings_module.from_file(disk.peek(conf, reading.SETTINGS), str(conf))
    return kept["PASSWORD"].where if "PASSWORD" in kept else "environment variable PASSWORD"


def _drop_untrue(disk: Snapshot, settings: Settings, known: Mapping[str, Any]) -> None:
    """Remove .password, if it was made up, once its user has another password. A hash is computed only when the user's
    line is another one than it was."""
    paths = disk.paths
    stored = disk.content(paths.password)
    if stored is None or not disk.ledger.untouched(paths.password, stored):
        return
    try:
        data = disk.read(paths.htpasswd, reading.HTPASSWD)
    except SecregError:
        return
    if data is None:
        return
    owner = _owner(known, settings)
    line = userlines.line_of(data, owner)
    if not line or marks.digest(line) == known.get("hash"):
        return  # of a user who is gone it may be the only copy
    verdict = _verdict(line, owner, utf8.shown(stored).strip())
    if verdict is None:
        return  # a file that is just being saved, perhaps
    if verdict:
        _remember(disk, records.peek(_record(paths), RECORD), made_for=owner, hash=marks.digest(line))
        return
    files.remove(paths.password)


def _record(paths: Paths) -> Path:
    return paths.state / "credentials.json"


def _remember(disk: Snapshot, known: Mapping[str, Any], **new: Any) -> None:
    records.save(_record(disk.paths), {**known, **new})


def _says(data: bytes, username: str, password: str) -> bool:
    """Whether .htpasswd already holds this user with this password."""
    return bool(_verdict(data, username, password))


def _verdict(data: bytes, username: str, password: str) -> bool | None:
    """Whether .htpasswd holds this user with this password; None: no hash of that user's, or one that is none."""
    from secreg_host.formats import users

    hashes = [user.hash for user in users.parse(data, "")[0] if user.name == username]
    return any(users.verify(password, one) for one in hashes) if hashes else None


def _stamp(disk: Snapshot, settings: Settings) -> list[str]:
    """What changes when the credentials in settings or .password may have: verifying a hash on each run is slow. Of the
    files as they were read: they may have changed since."""
    return [settings.username, settings.opt, disk.mark(disk.paths.conf), disk.mark(disk.paths.password)]
