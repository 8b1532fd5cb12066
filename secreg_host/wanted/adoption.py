"""What the environment of `setup` and `start` sets is written to secure-registry.conf, so that it lasts; or refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secreg_host.base import reading, utf8
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import envfile
from secreg_host.host.host import Host
from secreg_host.wanted import defaults
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import ALIASES, Given

SECRET = "PASSWORD"
"""What is kept only as a hash, unless it stands in the file already."""


def check(disk: Snapshot, environment: Mapping[str, str]) -> None:
    """Raise BadInput, before anything is changed, for a bad value in `environment`, and where the file can't be made to
    say what it sets."""
    settings_module.parse(settings_module.from_environment(environment))
    data = disk.peek(disk.paths.conf, reading.SETTINGS)
    new = _new(data, str(disk.paths.conf), environment)
    if new and disk.paths.conf.is_symlink():
        hint = f"set it there: {disk.paths.conf.readlink()}; or run this without it in the environment"
        told = f"can't be kept in {disk.paths.conf}, which is a link"
        raise BadInput([Problem(given.where, f"{name} {told}", hint) for name, given in new.items()])


def adopt(host: Host, disk: Snapshot, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Let secure-registry.conf, if there is one, say what `environment` sets; what was written. All else in a file that
    was edited stays as it is. Raises SecregError when it can't be written."""
    conf = disk.paths.conf
    data = disk.peek(conf, reading.SETTINGS)
    new = _new(data, str(conf), environment)
    if not new or conf.is_symlink():
        return ()
    kept, _ = settings_module.from_file(data, str(conf))
    if disk.ledger.untouched(conf, data):
        disk.write([defaults.render_conf(host, kept | new)])
        return (conf,)
    text = utf8.text(data, str(conf))
    spelled = {name: alias for alias, name in ALIASES.items() if alias in _keys(text)}
    for name, given in new.items():
        text = envfile.setting(text, spelled.get(name, name), given.value)
    disk.edit(conf, text.encode())
    return (conf,)


def _new(data: bytes, where: str, environment: Mapping[str, str]) -> dict[str, Given]:
    """What `environment` sets and a file with the bytes `data` does not say; nothing where there is no file yet, which
    is then made with all of it, or one that can't be read, which is told elsewhere."""
    kept, problems = settings_module.from_file(data, where)
    if not data or problems:
        return {}
    return {
        name: given
        for name, given in settings_module.from_environment(environment).items()
        if given.value and (kept[name].value != given.value if name in kept else name != SECRET)
    }


def _keys(text: str) -> set[str]:
    return {one.key for one in envfile.parse(text, "")[0]}
