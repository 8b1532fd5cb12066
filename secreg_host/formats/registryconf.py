"""Reading docker-registry.yml: could distribution's registry start with it, where are the images, and what does the
registry do with a download but send the file?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from secreg_host.base import names
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.paths import DEFAULT_STORAGE
from secreg_host.formats import yamlfile

NOT_DRIVERS = {"cache", "delete", "redirect", "maintenance", "tag"}
"""Keys of `storage` that are no storage drivers (distribution, docs/configuration: storage)."""

Keys = tuple[str, ...]
SHORTEST = 4
"""Characters: shorter values are part of what anybody says."""

ROOT, DEBUG_ADDRESS = ("storage", "filesystem", "rootdirectory"), ("http", "debug", "addr")
"""Where the directory of images is named, and where the address at which metrics are asked for."""

NO_SECRETS = {("version",), ROOT}
"""Where the values are none, whatever they are."""

UNWRITABLE = re.compile(r"[\x00-\x1f\x7f\\]")
"""What a unit can't have in a path (quoting.unit_path)."""

DEBUG = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(?P<port>[0-9]{1,5})")
"""An address as Go listens on (net.Dial)."""

PLAIN_NAME, PLAIN_VALUE = re.compile(r"[A-Za-z0-9-]+"), re.compile(r"[ -~]*")
"""Headers that nginx can add as the registry does: printable ASCII."""

DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
"""A time as Go writes it (time.ParseDuration), as far as people do."""

OWN_HEADERS = {
    "accept-ranges", "cache-control", "content-length", "content-range", "content-type", "docker-content-digest",
    "etag", "last-modified", "location", "server",
}  # fmt: skip
"""Headers of a download that the registry leaves alone, or not, when http.headers has them already."""


@dataclass(frozen=True)
class RegistryConf:
    """What we need to know of the registry's configuration.

    root: directory of images, None when they are not on a file system; auth: whether the registry asks for credentials
    of its own; more: what the registry does with a download besides sending the file, so that only it can answer ("":
    nothing); headers: name and value of those that it adds to each answer, as nginx can, too; debug: where its metrics
    are asked for (http.debug.addr): an address ("" for all of them) and a port; readonly: whether it refuses to write.
    """

    root: Path | None
    auth: bool
    more: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    debug: tuple[str, int] | None = None
    readonly: bool = False


def parse(data: bytes, where: str) -> RegistryConf:
    """The configuration in `data`. Raises BadInput with `file:line` for what is not YAML or of the wrong shape."""
    document = yamlfile.load(data, where)
    problems: list[Problem] = []
    if not isinstance(document, dict):
        hint = "it begins with: version: 0.1 (secure-registry setup writes a new one when the file is removed)"
        raise BadInput([Problem(where, "the registry's configuration is a mapping; this is not", hint)])
    if str(document.get("version")) != "0.1":
        problems.append(Problem(place(where, data, "version"), "the version is not 0.1", "write: version: 0.1"))
    storage = document.get("storage")
    drivers = [name for name in storage if name not in NOT_DRIVERS] if isinstance(storage, dict) else []
    if isinstance(storage, str):
        drivers = [storage]
    if len(drivers) != 1:
        said = f"storage names {len(drivers)} drivers" if drivers else "storage names no driver"
        hint = "name one, such as filesystem: with rootdirectory: below it"
        problems.append(Problem(place(where, data, "storage"), said, hint))
    for section in ("log", "http", "auth", "health", "middleware", "notifications", "proxy"):
        value = document.get(section)
        if value is not None and not isinstance(value, dict):
            said = f"{section} must be a mapping, not {type(value).__name__}"
            problems.append(Problem(place(where, data, section), said, "indent its keys"))
    root = _root(storage, where, data, problems) if drivers == ["filesystem"] else None
    debug = _debug(document, where, data, problems)
    if problems:
        raise BadInput(problems)
    headers = tuple(_headers(document))
    more = next(_more(document, root, headers), "")
    readonly = bool(_section(document, "storage", "maintenance", "readonly", "enabled"))
    plain = tuple(one for one in headers if _is_plain(*one))
    return RegistryConf(root, bool(document.get("auth")), more, plain, debug, readonly)


MEMORY, REDIS = "inmemory", "redis"
"""Where a registry remembers descriptors of blobs (storage: cache: blobdescriptor)."""


@dataclass(frozen=True)
class Redis:
    """Where a Redis is, and how one gets in."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    db: int = 0
    tls: bool = False


@dataclass(frozen=True)
class Keeping:
    """What of docker-registry.yml who frees space must know. cache: where descriptors of blobs are remembered ("":
    nowhere); redis: which one that is; proxied: whether the images are another registry's; uploads: after how many
    seconds uploads are removed that nobody ended."""

    cache: str = ""
    redis: Redis | None = None
    proxied: bool = False
    uploads: int = 168 * 3600


def keeping(data: bytes, where: str) -> Keeping:
    """The same of the configuration in `data`. Raises BadInput for what is not YAML, and for a Redis of which it can't
    be told where it is."""
    document = yamlfile.load(data, where)
    caches = _section(document, "storage", "cache") or {}
    old = _section(caches, "layerinfo")  # what it was called once, and is still taken for (handlers/app.go)
    cache = _section(caches, "blobdescriptor") if "blobdescriptor" in caches else old
    age = _section(document, "storage", "maintenance", "uploadpurging", "age")
    found = DURATION.fullmatch(str(age)) if age is not None else None
    uploads = (
        sum(int(part or 0) * size for part, size in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    )
    proxied = bool(_section(document, "proxy", "remoteurl"))
    redis = _redis(_section(document, "redis"), where, data) if cache == REDIS else None
    return Keeping(str(cache or ""), redis, proxied, uploads or Keeping.uploads)


def _redis(given: object, where: str, data: bytes) -> Redis:
    address = _section(given, "addr")
    if not address and isinstance(several := _section(given, "addrs"), list) and len(several) == 1:
        address = several[0]  # of distribution 3
    found = DEBUG.fullmatch(str(address))
    port, db = names.port(found["port"]) if found else None, str(_section(given, "db") or 0)
    if found is None or port is None or not db.isdecimal():
        what = "it is not told which Redis the registry's cache of descriptors is in"
        raise BadInput([Problem(place(where, data, "redis"), what, "write redis: addr: HOST:PORT, and db: a number")])
    user, password = (str(_section(given, key) or "") for key in ("username", "password"))
    host = names.bare(found["host"]) or "localhost"
    return Redis(host, port, user, password, int(db), bool(_section(given, "tls", "enabled")))


def place(where: str, data: bytes, *path: str) -> str:
    """`where`:LINE of the key at the end of `path` in `data`, the bytes of docker-registry.yml, or of the last one on
    the way to it; `where` alone if there is none."""
    line = yamlfile.line_of(data, *path)
    return f"{where}:{line}" if line else where


def values(data: bytes) -> Iterator[str]:
    """What may be a secret in a docker-registry.yml that can be read: each value, as text and line by line."""
    return (text for path, text in _values(yamlfile.load(data, ""), ()) if path not in NO_SECRETS)


def quoted(data: bytes, said: str) -> Keys:
    """The keys, one in the other, of the longest value in `data` that `said` has as a word; none: it has none."""
    found = [
        (len(text), path)
        for path, text in _values(yamlfile.load(data, ""), ())
        if len(text) >= SHORTEST and re.search(rf"(?<![\w./-]){re.escape(text)}(?![\w/-])", said)
    ]
    return max(found, key=lambda one: one[0])[1] if found else ()


def _values(value: Any, path: Keys) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _values(inner, (*path, str(name)))
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, path)
    elif value is not None and not isinstance(value, bool):
        yield from ((path, text) for text in str(value).splitlines())


def _section(document: object, *names: str) -> Any:
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _headers(document: object) -> Iterator[tuple[str, str]]:
    given = _section(document, "http", "headers") or {}
    if not isinstance(given, dict):
        yield "", ""
        return
    for name, values in given.items():
        for value in values if isinstance(values, list) else [None]:
            yield str(name), value if isinstance(value, str) else "\0"


def _debug(document: object, where: str, data: bytes, problems: list[Problem]) -> tuple[str, int] | None:
    given = _section(document, *DEBUG_ADDRESS)
    if given in (None, ""):
        return None
    found = DEBUG.fullmatch(str(given))
    host = names.bare(found["host"]).replace("localhost", "127.0.0.1") if found else ""
    port = names.port(found["port"]) if found else None
    if port is None or (host and not names.is_address(host)):
        hint = "write an address and a port, such as 127.0.0.1:5001"
        said = "http.debug.addr is not such an address"
        problems.append(Problem(place(where, data, *DEBUG_ADDRESS), said, hint))
        return None
    return "" if host == "0.0.0.0" else host, port


def _more(document: object, root: Path | None, headers: tuple[tuple[str, str], ...]) -> Iterator[str]:
    """Everything by which an answer of this registry is more than the bytes of a file."""
    if root is None:
        yield "the storage is not filesystem"
    elif "$" in str(root):
        yield "the path of storage.filesystem.rootdirectory has characters that nginx can't take"
    for section in ("auth", "middleware", "notifications"):
        found = _section(document, section)
        if section == "notifications" and isinstance(found, dict):
            found = found.get("endpoints")
        if found:
            yield f"it has {section}"
    if _section(document, "proxy", "remoteurl"):
        yield "it is a proxy of another registry"
    if any(_section(document, "health", kind) for kind in ("file", "http", "tcp")):
        yield "a health check of its own can turn it off"
    if _section(document, "http", "prefix") not in (None, "", "/"):
        yield "http.prefix moves it to another path"
    for name, value in headers:
        if not _is_plain(name, value):
            yield "http.headers has one that only it can send"


def _is_plain(name: str, value: str) -> bool:
    """Whether nginx can add this header as the registry does."""
    return bool(PLAIN_NAME.fullmatch(name) and PLAIN_VALUE.fullmatch(value)) and name.lower() not in OWN_HEADERS


def _root(storage: object, where: str, data: bytes, problems: list[Problem]) -> Path:
    options = storage.get("filesystem") if isinstance(storage, dict) else None
    given = (options or {}).get("rootdirectory", str(DEFAULT_STORAGE)) if isinstance(options, dict | None) else options
    if not isinstance(given, str) or not given.startswith("/") or UNWRITABLE.search(given):
        what = "storage.filesystem.rootdirectory is not an absolute path that can be used"
        hint = "write one, without backslashes and control characters"
        problems.append(Problem(place(where, data, *ROOT), what, hint))
        return Path(str(DEFAULT_STORAGE))
    return Path(given)
