"""The part of docker-registry.yml: where images are, and what the registry does with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from secreg_host.base import quoting, reading
from secreg_host.base.errors import Problem
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.formats import registryconf
from secreg_host.formats.listening import Listen
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.images import imagesplace, marker, owners, readable
from secreg_host.images.marker import Store
from secreg_host.wanted.parts.part import Context, FilePart, Reading, required
from secreg_host.wanted.parts.settings import SettingsPart

YML = "registry/docker-registry.yml"


@dataclass(frozen=True, kw_only=True)
class RegistryPart(FilePart):
    """docker-registry.yml.

    root: its directory of images, as it is written there (None: they are on no file system of this host); real: the
    same without links; auth: whether the registry asks for credentials of its own; more: why only the registry can
    answer for a download ("": the front can, too); headers: those that it adds to each answer; debug: where its metrics
    are asked for: the front answers there, for the registry that serves; readonly: whether it refuses to write; store:
    which store it is that serves.
    """

    NAME = "registry"

    root: str | None
    real: str | None = None
    auth: bool = False
    more: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    debug: Listen | None = None
    readonly: bool = False
    store: Store = field(default_factory=Store)

    @property
    def storage(self) -> str | None:
        """The directory of images without links (a part of before did not say it)."""
        return self.real or self.root

    @property
    def places(self) -> tuple[Path, ...]:
        """Every way in which the directory of images can be named."""
        return tuple(dict.fromkeys(Path(one) for one in (self.root, self.storage) if one))

    @property
    def yml(self) -> bytes:
        """What the file holds; nothing where the registry runs elsewhere."""
        return self.files.get(YML, b"")

    def at(self, key: Sequence[str]) -> str:
        """`file:line` of what the keys `key`, one in the other, lead to (registryconf.place)."""
        return registryconf.place(self.place, self.yml, *key)

    def runs_as(self, before: RegistryPart) -> bool:
        """Whether a registry that was started for `before` is one for this part, too: its sandbox has the mounts of its
        beginning."""
        same = (self.files, self.storage) == (before.files, before.storage)
        return same and not marker.moved(before.store, self.store)

    @property
    def facts(self) -> dict[str, Any]:
        debug = [self.debug.host, self.debug.port] if self.debug else None
        return super().facts | {"debug": debug}

    @classmethod
    def restored(cls, files: Mapping[str, bytes], sources: tuple[str, ...], facts: Mapping[str, Any]) -> Self:
        debug = facts.get("debug")
        return cls(
            files=files,
            sources=sources,
            root=facts["root"],
            real=facts.get("real"),
            auth=facts["auth"],
            more=facts.get("more", "version 0.1 did not look"),
            headers=tuple((name, value) for name, value in facts.get("headers", ())),
            debug=Listen(debug[0], debug[1], tls=False) if debug else None,
            readonly=facts.get("readonly", False),
            store=Store(**facts.get("store", {})),
        )

    @classmethod
    def where(cls, paths: Paths) -> Path:
        return paths.registry_yml

    @classmethod
    def read(cls, context: Context) -> Reading[RegistryPart]:
        settings = context.parts[SettingsPart].settings
        if not settings.own_registry:
            return Reading(cls(root=None, auth=True, more="it runs elsewhere"))
        if not settings.registry_binary:
            hosts.registry()
        return _with_images(context.host, parse(context.disk), context.known.get(cls))


def parse(disk: Snapshot) -> RegistryPart:
    """docker-registry.yml as it is written, whatever is in the directory that it names. Raises BadInput."""
    paths = disk.paths
    data = required(disk, paths.registry_yml, reading.YAML)
    conf = registryconf.parse(data, str(paths.registry_yml))
    return RegistryPart(
        files={YML: data},
        sources=(str(paths.registry_yml),),
        root=str(conf.root) if conf.root else None,
        auth=conf.auth,
        more=conf.more,
        headers=conf.headers,
        debug=Listen(*conf.debug, tls=False) if conf.debug else None,
        readonly=conf.readonly,
    )


def _with_images(host: Host, part: RegistryPart, known: RegistryPart | None) -> Reading[RegistryPart]:
    """`part` with where its images really are, which is made if it is not there: the registry must be able to write
    there. Where the front can't read them, or the registry not write below, a warning.

    known: what serves. While its store is away, nothing is made in its place, and nothing else is tried there."""
    if part.root is None:
        return Reading(part)
    root, real = part.root, imagesplace.resolved(part.root)
    place = part.at(registryconf.ROOT)
    if wrong := imagesplace.refused(host, root, real):
        return Reading(None, (Problem(place, *wrong),))
    before = known.store if known is not None and (known.root == root or known.storage == real) else Store()
    here = marker.look(real)
    if away := imagesplace.away(part.place, root, before, here):
        return Reading(None, (away,))
    if wrong := imagesplace.unwritable(host, root):
        return Reading(None, (Problem(place, *wrong),))
    store = marker.settle(host, real, before, here, write=not part.readonly)
    part = replace(part, real=real, store=store)
    warnings = [Problem(part.place, *said) for said in _odd(host, part, before)]
    if not part.more and (unread := readable.wrong(host, Path(root))):
        what = f"{unread.what}: downloads take the slow way, through the registry"
        warnings.append(Problem(place, what, unread.hint))
        part = replace(part, more=unread.why)
    return Reading(part, warnings=tuple(warnings))


def _odd(host: Host, part: RegistryPart, before: Store) -> Iterator[tuple[str, str]]:
    """What an administrator should know of the images of `part`, and what to do; before: the store that served."""
    root = str(part.root)
    if before.name and part.store.id not in ("", before.id):
        what = f"rootdirectory {root} holds another store than the one that served, and is served now"
        yield what, f"if that is not meant, see what is mounted there: findmnt -T {quoting.shell(root)}"
    if not part.readonly and (wrong := owners.wrong(host, root)):
        yield wrong
