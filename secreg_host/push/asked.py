"""What the front asks: a manifest that is to be written or deleted, and by whom.

What can't be read for certain is refused, never passed on: the registry could read it in another way. Names, tags and
digests are those of OCI's distribution-spec ("Pulling manifests") and image-spec (descriptor.md, "Digests").
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from secreg_host.base import marks, utf8
from secreg_host.formats.robots import Own
from secreg_host.generation import behind, ownrights, plainmanifest
from secreg_host.generation.behind import Behind
from secreg_host.images import layout
from secreg_host.images.targets import Target
from secreg_host.push.answers import Answer, refusal

PLACE = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>.+)", re.DOTALL)
METHODS = ("PUT", "DELETE")
LIVES = "/lives"
"""What is asked to see whether anybody answers."""

CATALOG = "/v2/_catalog"
RIGHTS, ACCESS, OWN = "x-secreg-rights", "x-secreg-access", "x-secreg-own"
"""Headers in which the front says what the user may do in that repository ("=" and letters of `ALL`), where access.yml
is, and what rights a robot has of its own (generation/ownrights.py)."""

ALL = "rcud"
"""What each user may do where there is no access.yml: read, create, update, delete."""

OURS = {behind.HEADER.lower(), behind.USER.lower(), RIGHTS, ACCESS, OWN}
OF_MANIFEST = {"content-type", "accept", "if-match", "if-none-match", "range"}
HOP = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "proxy-connection", "expect"}
"""Headers of one connection, not of what is asked (RFC 9110, 7.6.1); the front has answered what was expected."""

LENGTH = "content-length"
NAME = re.compile("[a-z0-9-]+")
"""Of a header, as nginx lets them through (ignore_invalid_headers)."""

Header = tuple[str, bytes]


class Refused(Exception):
    """What can't be asked, and how that is answered."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True)
class Asked:
    """method: PUT or DELETE; repository, reference: of which manifest, by tag or digest; user, address: who asks;
    behind: where it goes; query: the rest of the address; headers: those that the registry is to have; body: the
    manifest; rights: what the user may do there, by letters of ALL; access: where the access.yml is by which he is
    shown the catalogue ("": there is none); own: rights that he has of his own, being a robot (None: he is none)."""

    method: str
    repository: str
    reference: str
    user: str
    address: str
    behind: Behind
    query: str = ""
    headers: tuple[Header, ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    rights: str = ALL
    access: str = ""
    own: Own | None = None

    @property
    def target(self) -> Target:
        """The same, as all that deletes names it."""
        by_digest = ":" in self.reference
        return Target(self.repository, "" if by_digest else self.reference, self.reference if by_digest else "")

    @property
    def digests(self) -> tuple[str, ...]:
        """The digests that the manifest may have in the store."""
        computed = f"sha256:{marks.digest(self.body)}"
        return tuple(dict.fromkeys((computed, *filter(None, [self.target.digest]))))

    def with_body(self, body: bytes) -> Asked:
        """The same with the manifest that comes along."""
        return replace(self, body=body)

    def looking(self) -> Asked:
        """The question which manifest there is by that reference."""
        accept = ", ".join((*plainmanifest.IMAGES, *plainmanifest.INDEXES)).encode()
        kept = (one for one in self.headers if one[0] not in OF_MANIFEST)
        return replace(self, method="HEAD", query="", headers=(*kept, ("accept", accept)), body=b"")

    def address_of(self, reference: str) -> str:
        """Where the registry has the manifest that is called so, with what else the client said."""
        query = f"?{self.query}" if self.query else ""
        return f"/v2/{self.repository}/manifests/{quote(reference, safe=':')}{query}"


def read(method: str, address: str, headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """What is asked by a request for `address`, as it was sent. Raises Refused."""
    path, _, query = address.partition("?")
    catalog = method in ("GET", "HEAD") and unquote(path) == CATALOG
    if method not in METHODS and not catalog:
        raise Refused(refusal(405, "UNSUPPORTED", "only PUT and DELETE of manifests come here"))
    if not query.isascii():
        raise Refused(refusal(400, "UNSUPPORTED", "what follows the ? in the address must be ASCII"))
    name, reference = ("", "") if catalog else _named(path)
    given = [(utf8.shown(key).lower(), value) for key, value in headers]
    said = {key: utf8.shown(value) for key, value in given}
    where = behind.heard(said.get(behind.HEADER.lower(), ""))
    if where is None or (catalog and not said.get(ACCESS) and OWN not in said):
        raise Refused(refusal(400, "UNSUPPORTED", "only the front of this registry asks here"))
    if said.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refused(refusal(415, "UNSUPPORTED", "a manifest is taken as it is: leave out Content-Encoding"))
    dropped = OURS | HOP | {LENGTH}
    passed = tuple((key, value) for key, value in given if key not in dropped and NAME.fullmatch(key))
    found = Asked(method, name, reference, said.get(behind.USER.lower(), ""), said.get("x-real-ip", ""), where)
    rights = said[RIGHTS].removeprefix("=") if RIGHTS in said else ALL
    own = ownrights.read(said[OWN]) if OWN in said else None
    return replace(found, query=query, headers=passed, rights=rights, access=said.get(ACCESS, ""), own=own)


def _named(path: str) -> tuple[str, str]:
    """The repository and the reference of the manifest at `path`. Raises Refused."""
    found = PLACE.fullmatch(unquote(path))
    if found is None:
        raise Refused(refusal(404, "NAME_UNKNOWN", "there is no such address: it is /v2/NAME/manifests/REFERENCE"))
    name, reference = found["name"], found["reference"]
    if len(name) > layout.LONGEST or not layout.NAME.fullmatch(name):
        raise Refused(refusal(400, "NAME_INVALID", "no repository can be called so", {"name": name}))
    if ":" in reference and not layout.DIGEST.fullmatch(reference):
        raise Refused(refusal(400, "DIGEST_INVALID", "it is no digest that is known here", {"reference": reference}))
    if ":" not in reference and not layout.TAG.fullmatch(reference):
        raise Refused(refusal(400, "TAG_INVALID", "no tag can be called so", {"reference": reference}))
    return name, reference
