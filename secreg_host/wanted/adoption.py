"""What the environment of `setup` and `start` sets is written to secure-registry.conf, so that it lasts; or refused. Of
what other verbs find there, only what is their business."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from secreg_host.base import reading, utf8
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import envfile
from secreg_host.host.host import Host
from secreg_host.wanted import cautions, defaults
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.settings import ALIASES, BY_NAME, Given, Settings

SECRET = "PASSWORD"
"""What is kept only as a hash, unless it stands in the file already."""

OF_CERTIFICATE = ("SERVER_NAME", "SERVER_IP", "CA_DOMAIN", "C", "ST", "L", "O", "CN", "KEY_TYPE", "CERT_DAYS")
"""What `gencert` goes by."""

OF_HASH = ("OPT",)
"""What `htpasswd USER` goes by."""

OF_USER = ("USERNAME", SECRET, *OF_HASH)
"""What `htpasswd` without a name goes by."""


def only(environment: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """`environment` without those settings that are none of `names`: they are no business of the verb that is typed."""
    named = {key: ALIASES.get(key, key) for key in environment}
    return {key: value for key, value in environment.items() if named[key] not in BY_NAME or named[key] in names}


def passed_over(
    disk: Snapshot, environment: Mapping[str, str], names: Collection[str], verb: str
) -> tuple[Problem, ...]:
    """What `environment` sets that is none of `names`, and not so already, for whoever may have meant it."""
    kept, _ = settings_module.from_file(disk.peek(disk.paths.conf, reading.SETTINGS), str(disk.paths.conf))
    what, hint = f"{verb} does not go by it", "what takes it over: secure-registry start, or setup"
    return tuple(
        one.problem(name, what, hint)
        for name, one in settings_module.from_environment(environment).items()
        if name not in names and one.value and (name not in kept or kept[name].value != one.value)
    )


@dataclass(frozen=True)
class Asked:
    """What the environment asks for: by name, what secure-registry.conf does not say yet, and all settings with that,
    the password among them."""

    new: dict[str, Given]
    settings: Settings


def asked(disk: Snapshot, environment: Mapping[str, str]) -> Asked | None:
    """What `environment` asks for; None: nothing that is not so already.

    Raises BadInput, before anything is changed, for a bad value, and where secure-registry.conf can't be made to say
    it, or is bad in itself: that would hold back all of it. SecregError when the file can't be read.
    """
    conf, given = disk.paths.conf, settings_module.from_environment(environment)
    if not given:
        return None
    settings_module.parse(given)
    kept, problems = settings_module.from_file(disk.peek(conf, reading.SETTINGS), str(conf))
    _check_emptied(kept, given)
    given = {name: one for name, one in given.items() if one.value}
    new = {
        name: one for name, one in given.items() if (kept[name].value != one.value if name in kept else name != SECRET)
    }
    if not new and SECRET not in given:
        return None
    disk.read(conf, reading.SETTINGS)
    if problems:
        until = "; until then nothing of the environment is taken over"
        raise BadInput([replace(one, hint=f"{one.hint}{until}") for one in problems])
    if conf.is_symlink() and new:
        hint = f"set it there: {conf.readlink()}; or run this without it in the environment"
        told = f"can't be kept in {conf}, which is a link"
        raise BadInput([one.problem(name, told, hint) for name, one in new.items()])
    settings = settings_module.parse(kept | given)
    if unknown := cautions.unresolved(settings, conf):
        raise BadInput([placed(one, new.get("REGISTRY_HOST"), "REGISTRY_HOST") for one in unknown])
    if SECRET in given:
        _check_password(settings, given[SECRET])
    return Asked(new, settings)


def _check_password(settings: Settings, given: Given) -> None:
    """Raise BadInput for a password that can't be hashed as `settings` say."""
    from secreg_host.formats import hashoptions, users

    try:
        users.check_password(settings.password, hashoptions.split_options(settings.opt).scheme)
    except BadInput as error:
        raise BadInput([given.problem(SECRET, one.what, one.hint) for one in error.problems]) from None


def placed(problem: Problem, given: Given | None, name: str) -> Problem:
    """`problem` of setting `name`, at the place where it was `given`, if it stands in no file yet."""
    if given is None:
        return problem
    return given.problem(name, problem.what.removeprefix(f"{name}: "), problem.hint)


def _check_emptied(kept: Mapping[str, Given], given: Mapping[str, Given]) -> None:
    """Raise BadInput for what is empty in the environment and not in the file: whether that is to go, or was just
    passed on by a script, can't be known."""
    emptied = [
        one.problem(name, f"it is empty, and set in {kept[name].where}", hint)
        for name, one in given.items()
        if not one.value and name in kept and kept[name].value
        for hint in [f"for its default remove that line; or run this without {name} in the environment"]
    ]
    if emptied:
        raise BadInput(emptied)


def adopt(host: Host, disk: Snapshot, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Let secure-registry.conf, if there is one, say what `environment` sets; what was written. All else in a file that
    was edited stays as it is. Raises BadInput as `asked` does, and SecregError when it can't be written."""
    conf, found = disk.paths.conf, asked(disk, environment)
    data = disk.peek(conf, reading.SETTINGS)
    if found is None or not found.new or not reading.is_there(conf):
        return ()  # where there is none, it is made with all of it
    kept, _ = settings_module.from_file(data, str(conf))
    if disk.ledger.untouched(conf, data):
        disk.write([defaults.render_conf(host, kept | found.new)])
        return (conf,)
    text = utf8.text(data, str(conf))
    spelled = {name: alias for alias, name in ALIASES.items() if alias in _keys(text)}
    for name, given in found.new.items():
        text = envfile.setting(text, spelled.get(name, name), given.value)
    disk.edit(conf, text.encode())
    return (conf,)


def _keys(text: str) -> set[str]:
    return {one.key for one in envfile.parse(text, "")[0]}
