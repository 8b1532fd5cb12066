"""Answers to clients: the registry's own, and ours in the words of OCI's distribution-spec ("Error Codes")."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
JSON = ("Content-Type", "application/json")

OF_CONTENT = {"content-type", "content-length", "docker-content-digest", "location", "etag", "allow"}
"""Headers that are about what was answered; all others, an administrator may have given every answer."""

Header = tuple[str, str]


@dataclass(frozen=True)
class Answer:
    """status, headers, body: as in HTTP; digest: of the manifest that it is about ("": not known); was: that of the
    manifest that had its tag before ("": there was none, or nobody knows)."""

    status: int
    headers: tuple[Header, ...] = ()
    body: bytes = field(default=b"", repr=False)
    digest: str = ""
    was: str = ""

    def has(self, name: str) -> str:
        """The value of header `name`; "": there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def like(self, other: Answer) -> Answer:
        """The same with the headers that the registry gave `other`, whatever it was about."""
        own = {key.lower() for key, _ in self.headers}
        kept = [(key, value) for key, value in other.headers if key.lower() not in OF_CONTENT | own]
        return replace(self, headers=(*kept, *self.headers))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the errors in it."""
        try:
            found = json.loads(self.body)
            return tuple(str(one["code"]) for one in found["errors"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return ()


def refusal(status: int, code: str, message: str, detail: object = None, digest: str = "") -> Answer:
    """That `code` is in the way: `message` is a sentence that clients print."""
    said = {"errors": [{"code": code, "message": message, "detail": detail}]}
    return Answer(status, (VERSION, JSON), json.dumps(said).encode() + b"\n", digest)


def accepted(digest: str) -> Answer:
    """That it was deleted."""
    return Answer(202, (VERSION,), digest=digest)


def away(what: str, digest: str = "") -> Answer:
    """That something is not there for now."""
    found = refusal(503, "UNAVAILABLE", what, digest=digest)
    return replace(found, headers=(*found.headers, ("Retry-After", "1")))


def read(status: int, headers: Iterable[Header], body: bytes) -> Answer:
    """What the registry answered. A refusal of the method that has no words (it is read-only) gets some."""
    found = Answer(status, tuple(headers), body)
    if status == 405 and not found.codes:
        return refusal(405, "UNSUPPORTED", "the registry does not take that now: it is read-only").like(found)
    return found
