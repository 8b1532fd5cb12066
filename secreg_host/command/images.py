"""How the command tells of images: as text, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from secreg_host.base.quoting import plain
from secreg_host.command.amounts import bytes_of, columns, numbered
from secreg_host.images import dates, manifests, pushers, usage
from secreg_host.images.looking import Room
from secreg_host.images.overview import Held, Named, Overview
from secreg_host.images.pushers import Pushers
from secreg_host.images.usage import Weight

SHORT = 19
"""Characters of a digest that are shown: enough to tell it from others by eye; --json has all."""

NONE = "-"

DAY = 86400


class Image(NamedTuple):
    """One line of a list: what a tag is ("": it has none), or is no more (digest ""), and why that is odd ("": it is
    well). seconds: since when; by: who pushed it ("": nobody knows)."""

    repository: str
    tag: str
    digest: str
    weight: Weight
    seconds: int = 0
    platforms: tuple[str, ...] = ()
    kind: str = ""
    by: str = ""
    why: str = ""


def images(found: Overview, known: Pushers, only: str = "") -> Iterator[Image]:
    """The images that were `found`, in all repositories or in one `only`; those with a tag first. Pure."""
    for name in (only,) if only else sorted(found.repositories):
        one = found.repositories[name]
        for tag, (digest, seconds) in one.tags.items():
            yield _image(found, known, name, digest, seconds, tag)
        yield from (Image(name, tag, "", Weight(0, 0), why=why) for tag, why in one.odd.items())
        tagged = {digest for digest, _ in one.tags.values()}
        for digest in found.weights.get(name, {}):
            if digest not in tagged:
                yield _image(found, known, name, digest, one.revisions[digest])


def child(found: Overview, name: str, digest: str) -> Image:
    """The manifest `digest` of a repository, which another one names: nothing would be freed by deleting it alone."""
    size = sum(usage.Needs(found).of(digest).values())
    return _image(found, {}, name, digest, found.repositories[name].revisions[digest])._replace(weight=Weight(size, 0))


def _image(found: Overview, known: Pushers, name: str, digest: str, seconds: int, tag: str = "") -> Image:
    is_there = digest in found.repositories[name].revisions
    said = found.manifests.get(digest, Named()) if is_there else Named(why="its manifest is gone")
    weight = Weight(*found.weights.get(name, {}).get(digest, (0, 0)))
    by, platforms = pushers.pusher(known, name, tag, digest), tuple(dict.fromkeys(said.platforms))
    return Image(name, tag, digest, weight, seconds, platforms, said.kind, by, said.why)


def listing(found: Iterable[Image], *, as_json: bool, untagged: bool) -> Iterator[str]:
    """Which images there are, in lines; untagged: also those without a tag, which are counted else. Pure."""
    every = list(found)
    if as_json:
        yield json.dumps([as_dict(one) for one in every], indent=2)
        return
    shown = [one for one in every if one.tag or untagged]
    head = ("REPOSITORY", "TAG", "DIGEST", "PLATFORMS", "SIZE", "UNIQUE", "PUSHED", "BY")
    yield from columns([head, *map(_row, shown)]) if shown else ()
    for one in shown:
        if one.why:
            yield (f"{one.repository}:{one.tag or one.digest}: {plain(one.why)}")
    rest = [one for one in every if not one.tag]
    if rest and not untagged:
        alone = bytes_of(sum(one.weight.unique for one in rest))
        yield (f"and {numbered(len(rest), 'images')} without a tag, which alone need {alone}: --untagged")
    if not every:
        yield "there is no image"


def _row(one: Image) -> tuple[str, ...]:
    size, unique = (bytes_of(one.weight.size), bytes_of(one.weight.unique)) if one.digest else (NONE, NONE)
    about = ",".join(one.platforms) or (f"({one.kind})" if one.kind else NONE)
    short = one.digest[:SHORT] or NONE
    return one.repository, one.tag or NONE, short, plain(about), size, unique, date(one.seconds), plain(one.by) or NONE


def as_dict(one: Image) -> dict[str, Any]:
    """`one` for JSON."""
    said: dict[str, Any] = {"repository": one.repository, "tag": one.tag or None, "digest": one.digest or None}
    said |= {"platforms": one.platforms, "kind": one.kind or "image"}
    said |= {"bytes": one.weight.size, "unique_bytes": one.weight.unique, "shared_bytes": one.weight.shared}
    return said | {"pushed": _iso(one.seconds), "pushed_by": one.by or None, "odd": one.why or None}


class Detail(NamedTuple):
    """All that is known of one image: what a list says of it, all its tags, what is in it, what that tag ever was, and
    what is about it."""

    image: Image
    tags: tuple[str, ...]
    named: Named
    blobs: tuple[tuple[str, int], ...]
    history: tuple[tuple[str, int], ...]
    referrers: tuple[str, ...]


def detail(found: Overview, image: Image, history: Sequence[tuple[str, int]]) -> Detail:
    """All of `image`. Pure."""
    one: Held = found.repositories[image.repository]
    tags = tuple(tag for tag, (digest, _) in one.tags.items() if digest == image.digest)
    about = [each for each in one.revisions if found.manifests[each].subject == image.digest != ""]
    about += [digest for tag, (digest, _) in one.tags.items() if manifests.refers(tag, image.digest)]
    blobs = tuple(found.blobs.get(image.digest, {}).items())
    return Detail(
        image, tags, found.manifests.get(image.digest, Named()), blobs, tuple(history), tuple(dict.fromkeys(about))
    )


def shown(one: Detail, *, as_json: bool) -> None:
    """All of one image."""
    if as_json:
        said = as_dict(one.image) | {"tags": one.tags, "children": one.named.children, "blobs": dict(one.blobs)}
        said |= {"history": [{"digest": digest, "since": _iso(seconds)} for digest, seconds in one.history]}
        print(json.dumps(said | {"subject": one.named.subject or None, "referrers": one.referrers}, indent=2))
        return
    image = one.image
    rows = [("image", f"{image.repository}{f':{image.tag}' if image.tag else f'@{image.digest}'}")]
    rows += [("digest", image.digest or NONE), ("tags", ", ".join(one.tags) or NONE)]
    rows += [("platforms", ", ".join(image.platforms) or NONE), ("kind", image.kind or "image")]
    weight = image.weight
    size = f"{bytes_of(weight.size)}: {bytes_of(weight.unique)} of its own, {bytes_of(weight.shared)} shared"
    rows += [("size", size), ("pushed", f"{date(image.seconds)}{f' by {image.by}' if image.by else ''}")]
    rows += [("about", one.named.subject)] if one.named.subject else []
    rows += [("odd", image.why)] if image.why else []
    rows += [("manifest", digest) for digest in one.named.children]
    rows += [("blob", f"{digest} {bytes_of(size)}") for digest, size in one.blobs]
    rows += [("referrer", digest) for digest in one.referrers]
    rows += [("was", f"{digest} since {date(seconds)}") for digest, seconds in one.history]
    for line in columns([(name, plain(value)) for name, value in rows]):
        print(line)


def used(whole: usage.Whole, room: Room, days: int, *, as_json: bool) -> None:
    """What the bytes of a store are there for; days: for how many something is in the trash."""
    trash, due = sum(size for _, size in room.trash), [(made + days * DAY, size) for made, size in room.trash]
    if as_json:
        said: dict[str, Any] = whole._asdict() | {"uploads": room.uploads, "trash": trash}
        said["trash_due"] = [{"from": _iso(seconds), "bytes": size} for seconds, size in due]
        print(json.dumps(said | ({"disk": room.space._asdict()} if room.space else {}), indent=2))
        return
    rows = [
        ("images with a tag", bytes_of(whole.tagged), "what their tags need"),
        (
            "only without a tag",
            bytes_of(whole.untagged),
            "overwritten or pushed by digest: kept, for people pin digests",
        ),
        ("needed by nothing", bytes_of(whole.unnamed), "deleted, left by pushes that were cut, or being pushed"),
        ("of that in the trash", bytes_of(trash), f"free from {date(due[0][0])} on: secure-registry gc" if due else ""),
        ("pushes begun", bytes_of(room.uploads), "going on, or cut"),
    ]
    if room.space:
        rows.append(("free on that disk", bytes_of(room.space.free), f"of {bytes_of(room.space.size)}"))
    for line in columns(rows):
        print(line)


def by_repository(found: dict[str, Weight], *, as_json: bool) -> None:
    """The weight of each repository, the one that frees most first."""
    if as_json:
        said = [{"repository": name, "bytes": one.size, "frees": one.unique} for name, one in found.items()]
        print(json.dumps(said, indent=2))
        return
    ordered = sorted(found.items(), key=lambda item: (-item[1].unique, item[0]))
    head = ("REPOSITORY", "SIZE", "SHARED", "DELETING IT FREES")
    rows = [(name, bytes_of(one.size), bytes_of(one.shared), bytes_of(one.unique)) for name, one in ordered]
    for line in columns([head, *rows]):
        print(line)


def date(seconds: int) -> str:
    """When that was, for people."""
    return f"{_when(seconds):%Y-%m-%d %H:%M}" if seconds else NONE


def _iso(seconds: int) -> str | None:
    return f"{_when(seconds):%Y-%m-%dT%H:%M:%SZ}" if seconds else None


def _when(seconds: int) -> datetime:
    """That time, or the last one that has four digits for its year: a file may have any."""
    return datetime.fromtimestamp(dates.plausible(seconds), UTC)
