"""A pull as a client does it: through the public port, over TLS, with a password.

By our own probe, which may read nothing but its own repository. So that is linked to an image for as long as it takes:
the bytes are those that everybody gets, wherever they are linked.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from secreg_host.apply import clientproof, rehearsal, storeproof
from secreg_host.apply.asking import Client, Request, connect_tcp
from secreg_host.base import deputies, marks
from secreg_host.formats.users import PROBE
from secreg_host.generation.assemble import probe_word
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.images import readable, site
from secreg_host.images.layout import HERE, Repository
from secreg_host.upkeep import hashing, judging, listing, placing, refill
from secreg_host.upkeep.place import Place
from secreg_host.upkeep.placing import Part
from secreg_host.upkeep.refill import Wanted

ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
)
LOOKED, LARGEST = 20, 512 << 20
"""So many of the newest tags are looked at; the newest of at most so many bytes is pulled, or else the smallest."""


@dataclass(frozen=True)
class Image:
    """An image that is pulled: what it is called, what is linked for it, and its bytes."""

    name: str
    part: Part
    size: int


def image(place: Place, wanted: Wanted) -> Image | None:
    """The image of the backup that is pulled; None: there is none with a tag. Raises Damaged, and OSError."""
    path, read = place.lists / wanted.name, judging.remembered(judging.reader(place))
    parts = refill.parts(path, wanted, read, hashing.opened)
    dated = ((seconds, part.repository, tag) for part in parts for tag, _, seconds in part.tags)
    newest = [(repository, tag) for _, repository, tag in heapq.nlargest(LOOKED, dated)]
    found: dict[tuple[str, str], Part] = {}
    for section in listing.sections(listing.entries(path)):
        broken = {flaw.tag for flaw in section.broken}
        for repository, tag in newest:
            if repository == section.name and tag not in broken and (part := placing.part_of(section, tag, read)):
                found[repository, tag] = part
    needed = {digest for part in found.values() for digest in placing.digests(part)}
    sizes = {one.digest: one.size for one in listing.blobs(path) if one.digest in needed}
    images = [
        Image(f"{key[0]}:{key[1]}", found[key], sum(sizes.get(one, 0) for one in placing.digests(found[key])))
        for key in newest
        if key in found
    ]
    return next((one for one in images if one.size <= LARGEST), min(images, key=lambda one: one.size, default=None))


def pull(host: Host, generation: Generation, images: Path, found: Image) -> str:
    """What is wrong with pulling an image that is in the store in the directory `images`; "": each of its bytes came as
    it should."""

    def asked(password: str) -> str:
        try:
            with contextlib.ExitStack() as links:
                client = clientproof.came_in(rehearsal.expectations(host, generation)[0], connect_tcp, links)
                ours = Request("", login=f"{PROBE}:{password}", word=probe_word(generation))
                return next(filter(None, _fetched(client, found.part, ours)), "")
        except clientproof.UNREACHED as error:
            return f"no answer: {error}"

    with storeproof.alone(host), _linked(host, images, found.part):
        return clientproof.as_probe(host, asked)


@contextlib.contextmanager
def _linked(host: Host, images: Path, part: Part) -> Iterator[None]:
    """The probe's repository, linked to what is in `part` as long as the block runs."""
    account = host.accounts.registry
    with deputies.telling(account, images, lambda: _link(part), shut=readable.closed) as lines:
        list(lines)
    try:
        yield
    finally:
        with deputies.telling(account, images, _unlink, shut=readable.closed) as lines:
            list(lines)


def _link(part: Part) -> list[str]:
    os.umask(site.UMASK)
    own = part._replace(repository=PROBE, tags=(), was=())
    return list(placing.link(HERE, own, (), force=True))


def _unlink() -> list[str]:
    for name in ("_layers", "_manifests"):
        shutil.rmtree(f"{Repository(HERE, PROBE).path}/{name}", ignore_errors=True)
    return []


def _fetched(client: Client, part: Part, ours: Request) -> Iterator[str]:
    """What is wrong with each manifest and blob, asked for as `ours`; "": it is as it should be."""
    for digest, _ in part.revisions:
        yield _wrong(client, replace(ours, path=f"/v2/{PROBE}/manifests/{digest}"), digest)
    for digest in part.layers:
        yield _wrong(client, replace(ours, path=f"/v2/{PROBE}/blobs/{digest}"), digest)


def _wrong(client: Client, request: Request, digest: str) -> str:
    link = client.reach()
    client.link = None
    head = request.head(client.name)
    link.sendall(head.removesuffix(b"\r\n") + f"Accept: {ACCEPT}\r\n\r\n".encode())
    response = http.client.HTTPResponse(link, method="GET")
    response.begin()
    made = marks.hashing(digest.partition(":")[0])
    while piece := response.read(1 << 20):
        made.update(piece)
    if not response.will_close:
        client.link = link
    if response.status != http.client.OK:
        return f"{digest} is answered by HTTP {response.status}"
    return "" if made.hexdigest() == digest.partition(":")[2] else f"{digest} comes with other bytes"
