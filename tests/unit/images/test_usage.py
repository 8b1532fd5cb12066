"""What images weigh, by a store that is small enough to be reckoned by hand."""

from __future__ import annotations

import pytest

from secreg_host.images import usage
from secreg_host.images.overview import Held, Named, Overview
from secreg_host.images.usage import Weight


def overview(**repositories: dict[str, list[str]]) -> Overview:
    """Repositories by name: their tags ("" for none) and which manifests these are. A manifest is called by the blobs
    that it names, each a letter, of 10 bytes; its own is 1. "+x+y" is an index of x and y."""
    found = Overview()
    for name, tags in repositories.items():
        every = {digest: 0 for digests in tags.values() for digest in digests}
        every |= {child: 0 for digest in every for child in digest.split("+")[1:]}
        named = {tag: (digests[0], 0) for tag, digests in tags.items() if tag}
        found.repositories[name] = Held("", named, every)
        for digest in every:
            children = tuple(digest.split("+")[1:])
            found.manifests[digest] = Named(1, children)
            found.blobs[digest] = {} if children else dict.fromkeys(digest, 10)
    return found


@pytest.mark.promise("what-deleting-would-free")
def test_what_one_needs_alone() -> None:
    """Seen red: what two need counted as each one's own."""
    found = usage.images(overview(r={"1": ["ab"], "same": ["ab"], "2": ["bc"]}))
    assert found["r"] == {"ab": Weight(21, 11), "bc": Weight(21, 11)}
    assert Weight(21, 11).shared == 10


@pytest.mark.promise("what-deleting-would-free")
def test_the_same_in_two_repositories_frees_nothing() -> None:
    found = overview(r={"1": ["ab"]}, s={"1": ["ab"]})
    assert usage.images(found) == {"r": {"ab": (21, 0)}, "s": {"ab": (21, 0)}}
    assert usage.repositories(found) == {"r": Weight(21, 0), "s": Weight(21, 0)}


@pytest.mark.promise("what-deleting-would-free")
def test_children_are_their_index_and_untagged_ones_are_somebody() -> None:
    """Seen red: with children as owners, an index needs nothing alone."""
    found = overview(r={"all": ["+ab+bc"], "": ["cd"]})
    assert usage.images(found)["r"] == {"+ab+bc": Weight(33, 23), "cd": Weight(21, 11)}
    assert usage.repositories(found)["r"] == Weight(44, 44)


def test_what_the_bytes_are_for() -> None:
    """Seen red: what images with and without a tag need was counted twice."""
    found = overview(r={"1": ["ab"], "2": ["bc"], "": ["cd"]})
    there = {"ab": 1, "bc": 1, "cd": 1, "a": 10, "b": 10, "c": 10, "d": 10, "orphan": 500}
    assert usage.whole(found, there) == (32, 11, 500)
    del there["a"]
    assert usage.whole(found, there) == (22, 11, 500)
    assert usage.repositories(found, there)["r"] == Weight(33, 33)


def test_what_names_itself_ends() -> None:
    found = overview(r={"1": ["ab"]})
    found.manifests["ab"] = Named(1, ("ab", "gone"))
    assert usage.images(found)["r"] == {"ab": Weight(21, 21)}
