"""A line for each manifest that was written or deleted, or was to be: who, what, its digest, and what its tag was. In
the journal of the service, from which the log of who did what has it (`observe/audit`); nothing in it is a secret."""

from __future__ import annotations

import json
import logging

from secreg_host.base import journal
from secreg_host.push.answers import Answer
from secreg_host.push.asked import Asked

log = logging.getLogger(__name__)

DIGEST = "Docker-Content-Digest"
KIND = "manifest"
"""Of its entries (SECREG_KIND)."""

TOLD = "X-Secreg-Told"
"""The header by which the front knows that an answer has its line, and needs none of the front's."""


def digest(asked: Asked, answer: Answer) -> str:
    """Of the manifest that it was about, as far as it is known."""
    said = answer.digest or answer.has(DIGEST) or asked.target.digest
    return said or (asked.digests[0] if asked.method == "PUT" else "")


def tell(asked: Asked, answer: Answer, milliseconds: float) -> None:
    """Say what became of it."""
    said = {
        "user": asked.user,
        "address": asked.address,
        "method": asked.method,
        "repository": asked.repository,
        "reference": asked.reference,
        "digest": digest(asked, answer),
        "status": str(answer.status),
    }
    if answer.was and answer.was != said["digest"]:
        said["was"] = answer.was
    words = {**said, "status": answer.status, "duration": round(milliseconds / 1000, 3)}
    log.info(json.dumps(words), extra=journal.entry({"kind": KIND, **said}))
