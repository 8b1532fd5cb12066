"""The part of nginx.conf, with all that it includes from /etc/secure-registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from secreg_host.base import marks, reading
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import nginxbundle, nginxconf, serverblocks
from secreg_host.formats.listening import Listen
from secreg_host.formats.nginxsyntax import Directive
from secreg_host.formats.serverblocks import Door
from secreg_host.host import host as hosts
from secreg_host.wanted import askedtwice, bypass, passing, plainhttp, variants
from secreg_host.wanted import settings as settings_module
from secreg_host.wanted.parts.part import Context, FilePart, Reading, required
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.parts.settings import SettingsPart
from secreg_host.wanted.variants import Variant

CONF = "front/nginx.conf"
PATIENCE = "client_header_timeout"
SIZES = ("map_hash_bucket_size", "map_hash_max_size", "variables_hash_max_size")
"""Directives of which nginx takes one."""

EMPTY: Mapping[str, Any] = {"headers": (), "taken": ()}


@dataclass(frozen=True, kw_only=True)
class NginxPart(FilePart):
    """nginx.conf and what it includes.

    doors: by which addresses and names its server blocks are reached; answering: the addresses with TLS at which the
    registry answers, those of server blocks that include registry.conf; listens: all of them; origin: path below the
    generation -> the file of /etc that it was; own_pair: whether it serves with the pair of /etc; closed: whether it
    may keep this host itself out (client certificates, allow, deny, an `if`); limited: whether where the registry
    answers, whoever asks too much is delayed or refused (limit_req, limit_conn), this host, too; called: by which names
    the registry answers where another server block has the same address; outside: files elsewhere that nginx reads ->
    their digests; watched: what is a change besides, there or not, and patterns; variants: what stands for
    registry.conf; patience: whether it says itself, for all servers, how long a client's header may take; sized:
    which of SIZES it says.
    """

    NAME = "nginx"

    doors: tuple[Door, ...] = ()
    answering: tuple[Listen, ...] = ()
    listens: tuple[Listen, ...] = ()
    origin: Mapping[str, str] = field(default_factory=dict)
    own_pair: bool = True
    closed: bool = False
    limited: bool = False
    called: tuple[Door, ...] = ()
    outside: Mapping[str, str] = field(default_factory=dict)
    watched: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = (Variant(),)
    patience: bool = False
    sized: tuple[str, ...] = ()

    @property
    def conf(self) -> str:
        """Where its nginx.conf stands in /etc."""
        return self.origin[CONF]

    def outside_now(self) -> dict[str, str]:
        """`outside` as it is now; the digest of what can't be read is that of nothing."""
        return {name: marks.digest(reading.peek(Path(name), reading.OTHER)) for name in self.outside}

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        listens = tuple(Listen(**one) for one in facts["listens"])
        answering = tuple(Listen(**one) for one in facts.get("answering", ()))  # version 0.1 does not say it
        return cls(
            files=files,
            sources=sources,
            doors=tuple(Door(Listen(**one["listen"]), one["name"]) for one in facts.get("doors", ())),
            answering=answering or tuple(listen for listen in listens if listen.tls),
            listens=listens,
            origin=facts["origin"],
            own_pair=facts["own_pair"],
            closed=facts.get("closed", False),
            limited=facts.get("limited", False),
            called=tuple(Door(Listen(**one["listen"]), one["name"]) for one in facts.get("called", ())),
            outside=facts["outside"],
            watched=tuple(facts.get("watched", ())),
            variants=tuple(
                Variant(tuple(map(tuple, one["headers"])), tuple(one["taken"]), tuple(map(tuple, one.get("logs", ()))))
                for one in facts.get("variants", [EMPTY])
            ),
            patience=facts.get("patience", True),  # who does not know it says it a second time, which nginx refuses
            sized=tuple(facts.get("sized", SIZES)),
        )

    @classmethod
    def where(cls, paths: Paths) -> Path:
        return paths.nginx_conf

    @classmethod
    def read(cls, context: Context) -> Reading[NginxPart]:
        if not context.parts[SettingsPart].settings.nginx_binary:
            hosts.nginx()
        registry = context.parts.get(RegistryPart)
        found = read(context.disk, registry.places if registry else ())
        unheard = _unheard(context.disk, context.parts[SettingsPart].settings.port, found.part)
        return replace(found, warnings=(*found.warnings, *unheard))


def _unheard(disk: Snapshot, port: int, part: NginxPart | None) -> Iterator[Problem]:
    """A warning when somebody set PORT, and nginx.conf, which was edited, listens elsewhere."""
    conf = disk.paths.conf
    given, _ = settings_module.from_file(disk.read(conf, reading.SETTINGS) or b"", str(conf))
    if part is None or "PORT" not in given or port in (listen.port for listen in part.listens):
        return
    heard = ", ".join(dict.fromkeys(str(listen.port) for listen in part.answering))
    what = f"PORT={port} has no effect: {part.conf} was edited, and listens on {heard}"
    yield Problem(
        given["PORT"].where, what, f"write there: listen {port} ssl; or set PORT={part.answering[0].port} here"
    )


@dataclass(frozen=True)
class _Rules(nginxbundle.Rules):
    """No line leads past the password check; what is passed on to it streams."""

    private: bypass.Private
    paths: Paths

    def problems(self, directives: Sequence[Directive], where: str) -> Iterable[Problem]:
        return bypass.problems(directives, where, self.private)

    def additions(
        self, directives: Sequence[Directive], context: tuple[str, ...], sets: Callable[[str], set[str]]
    ) -> Mapping[int, str]:
        return passing.additions(directives, context, sets)

    def module(self, word: str) -> str:
        places = () if word.startswith("/") else self.paths.nginx_modules(Path(word).name)
        return next((str(place) for place in places if reading.is_file(place)), word)


def read(disk: Snapshot, images: Iterable[Path] = ()) -> Reading[NginxPart]:
    """nginx.conf and what it includes from /etc/secure-registry. images: where they are, on a file system. Raises
    BadInput."""
    paths = disk.paths

    def read_it(path: Path) -> bytes | None:
        return included(disk, path)

    places = [paths.run, paths.views, paths.lib, *images]
    rules = _Rules(bypass.Private.of(places, paths.shared_memory / "secure-registry-"), paths)
    found = nginxconf.bundle(paths.nginx_conf, required(disk, paths.nginx_conf, reading.NGINX), read_it, rules)
    lines = serverblocks.walked(paths.etc, read_it)
    if twice := askedtwice.problems(lines):
        raise BadInput(twice)
    blocks = serverblocks.of(lines)
    staged, kinds, unsaid = variants.applied(found.files, found.origin, tuple(variants.each(lines)))
    listens, answering = serverblocks.listens(blocks), serverblocks.answering(blocks)
    said = {line.directive.name for line in lines if line.context == ("http",)}
    part = NginxPart(
        files={f"front/{name}": data for name, data in staged.items()},
        sources=tuple(map(str, found.sources)),
        doors=tuple(serverblocks.doors(blocks)),
        answering=answering or tuple(listen for listen in listens if listen.tls),
        listens=listens,
        origin={f"front/{name}": str(path) for name, path in found.origin.items()},
        own_pair=found.own_pair,
        closed=any(block.closed for block in blocks),
        limited=any(block.limited for block in blocks if block.registry or not answering),
        called=serverblocks.called(blocks),
        outside={str(path): marks.digest(disk.read(path, reading.OTHER) or b"") for path in found.outside},
        watched=tuple(sorted({*map(str, (*found.sources, *found.outside)), *found.patterns})),
        variants=kinds,
        patience=PATIENCE in said,
        sized=tuple(name for name in SIZES if name in said),
    )
    return Reading(part, warnings=(*plainhttp.warnings(found.servers), *unsaid, *variants.unlogged(lines)))


def included(disk: Snapshot, path: Path) -> bytes | None:
    """What nginx reads from `path`; None: there is no such file. Raises BadInput as `reading.read`."""
    return disk.read(path, reading.NGINX if path.suffix in (".conf", ".inc") else reading.OTHER)
