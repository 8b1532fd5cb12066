"""What the front tells the manifest service with each request: which registry serves, and where its images are.

It is of the front's own generation, so while one registry takes over from another each request goes on to the right
one; and the service, which may be started anew at any time, knows nothing by itself.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from secreg_host.formats import registryconf
from secreg_host.wanted.parts.registry import RegistryPart

HEADER = "X-Secreg-Behind"
USER = "X-Secreg-User"
"""The headers in which it is said, and who asks. What a client says there, the front replaces."""

UNIX = "unix:"


@dataclass(frozen=True)
class Behind:
    """registry: its socket (unix:PATH), or HOST:PORT; store: the directory of its images ("": they are not ours: on no
    file system of this host, or another registry's); mark: the file in it by which it is the right one ("": none);
    readonly: whether nothing is to be written there."""

    registry: str
    store: str = ""
    mark: str = ""
    readonly: bool = False

    @property
    def said(self) -> str:
        """The same in ASCII, without a `$`."""
        words = {"registry": self.registry, "store": self.store, "mark": self.mark}
        return urlencode({**words, "readonly": "1" if self.readonly else ""})


def of(registry: str, part: RegistryPart) -> Behind:
    """What is behind the front where `registry` serves `part`."""
    if part.storage is None or (b"proxy" in part.yml and registryconf.keeping(part.yml, part.place).proxied):
        return Behind(registry)
    return Behind(registry, part.storage, part.store.name, part.readonly)


@functools.lru_cache(8)
def heard(said: str) -> Behind | None:
    """What `said` of `Behind` was; None: it is none."""
    found = {name: values[-1] for name, values in parse_qs(said).items()}
    if not found.get("registry"):
        return None
    return Behind(found["registry"], found.get("store", ""), found.get("mark", ""), bool(found.get("readonly")))
