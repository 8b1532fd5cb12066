"""The settings that an apply goes by: those of secure-registry.conf, after that says what the environment sets."""

from __future__ import annotations

import functools
from dataclasses import replace

from secreg_host.apply import backend, portconflicts
from secreg_host.apply.activate import Stage
from secreg_host.apply.portconflicts import Conflict
from secreg_host.apply.wish import Wish
from secreg_host.base import files, reading
from secreg_host.base.errors import BadInput, Problem, Refused, SecregError
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats.listening import Listen
from secreg_host.generation.generations import Generation
from secreg_host.wanted import adoption, firstuser, programs, provision, unserved
from secreg_host.wanted.adoption import Asked
from secreg_host.wanted.parts import settings as settings_part
from secreg_host.wanted.parts.part import Reading
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.provision import Provisioned
from secreg_host.wanted.settings import Settings


def adopt(stage: Stage, wish: Wish, current: Generation | None) -> Provisioned:
    """Let secure-registry.conf say what the environment of `wish` sets, and .htpasswd have the user whose password is
    in it; what was written. All of it or nothing: raises Refused when something of it can't serve, or be written.

    current: what serves; where nothing does yet, the files that are missing are made by `seen`, of the same settings.
    """
    if not wish.create:
        return Provisioned()
    disk = Snapshot(stage.host.paths)
    try:
        asked = adoption.asked(disk, wish.environment)
        if asked is None:
            return Provisioned()
        firstuser.check(disk, wish.environment)
        if problems := _unusable(stage, wish, current, asked):
            raise BadInput(problems)
        return _written(stage, disk, wish, current, asked)
    except SecregError as error:
        raise Refused(error.at(str(disk.paths.conf))) from error


def _unusable(stage: Stage, wish: Wish, current: Generation | None, asked: Asked) -> list[Problem]:
    """Why what is `asked` for would not serve, as far as that can be told by now: a port that somebody has, a
    registry elsewhere that does not answer, a program that is none."""
    conf, known = stage.host.paths.conf, current.settings if current is not None else None
    elsewhere = next((name for name in ("REGISTRY_HOST", "REGISTRY_PORT") if name in asked.new), "")
    away = backend.problems(asked.settings, known, conf) if wish.start or known else ()
    refuses = functools.partial(stage.services.refuses, meanwhile=stage.meanwhile)
    taken = _taken(stage, current, asked)
    wrong = programs.unusable(conf, asked.settings, known, refuses)
    wrong = wrong or programs.strangers(stage.host, asked.settings, known)
    return [
        *(taken.problems if taken is not None else ()),
        *(adoption.placed(problem, asked.new.get(elsewhere), elsewhere) for problem in away),
        *(
            adoption.placed(one, asked.new.get(name), name)
            for name, one in wrong.items()
            if known is None or name in asked.new
        ),
    ]


def _taken(stage: Stage, current: Generation | None, asked: Asked) -> Conflict | None:
    """Who has the PORT that is `asked` for, where nginx.conf follows it; None: it is free, or ours by now."""
    disk, port = Snapshot(stage.host.paths), asked.settings.port
    data = disk.content(disk.paths.nginx_conf)
    follows = data is None or disk.ledger.untouched(disk.paths.nginx_conf, data)
    if "PORT" not in asked.new or not follows or (current is not None and port in {one.port for one in current.taken}):
        return None
    error = portconflicts.problem(stage.services, [Listen("", port)])
    return error.placed(asked.new["PORT"].where, "set PORT to another one") if error is not None else None


def _written(stage: Stage, disk: Snapshot, wish: Wish, current: Generation | None, asked: Asked) -> Provisioned:
    conf = disk.paths.conf
    before = disk.peek(conf, reading.SETTINGS)
    written = adoption.adopt(stage.host, disk, wish.environment)
    if current is None or not wish.environment.get(adoption.SECRET):
        return Provisioned(written)
    try:
        made = provision.first_user(disk, asked.settings, wish.environment, create=True, restore=wish.restore)
    except SecregError:
        if written:
            files.rewrite(conf, before)
        raise
    return Provisioned((*written, *(write.path for write in made.written)))


def read(
    stage: Stage, disk: Snapshot, wish: Wish, current: Generation | None
) -> tuple[Settings, Reading[SettingsPart]]:
    """The settings, and their part. In the place of a program that is none, and of names for none of which there is a
    certificate, those that serve go on; all else counts. Raises SecregError where there are none that count."""
    paths = stage.host.paths
    settings = settings_part.read(disk, wish.environment, known=current is not None and not wish.create)
    known = current.settings if current is not None else None
    if (wish.start or known) and (problems := backend.problems(settings, known, paths.conf)):
        raise BadInput(problems)
    refuses = functools.partial(stage.services.refuses, meanwhile=stage.meanwhile)
    wrong = programs.unusable(paths.conf, settings, known, refuses)
    refused: tuple[Problem, ...] = ()
    if wrong and known is None:
        raise BadInput(list(wrong.values()))
    if known is not None:
        settings = programs.taking(settings, known, wrong)
        if refused := unserved.problems(disk, settings, known):
            settings = replace(settings, server_names=known.server_names, server_ips=known.server_ips)
    return settings, Reading(SettingsPart.of(settings), (*wrong.values(), *refused))
