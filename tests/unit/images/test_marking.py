"""What is needed of a repository, of what was seen of it."""

from __future__ import annotations

from secreg_host.base.marks import Stamp
from secreg_host.images import clocks, marking
from secreg_host.images.manifests import Manifest, Unreadable
from secreg_host.images.marking import Spare
from secreg_host.images.sighting import Links, Sight

OLD, YOUNG = Stamp(1, 1, 1, 10, 10), Stamp(1, 2, 1, 10, 95)
MANIFESTS = {
    "top": Manifest(children=("child", "cache")),
    "child": Manifest(blobs=("one",), foreign=("far",)),
    "about": Manifest(blobs=("signature",), subject="child"),
    "lost": Manifest(blobs=("two",), subject="gone"),
    "new": Manifest(blobs=("three",)),
}
BLOBS = ("one", "far", "cache", "signature", "two", "three", "none")


def is_old(stamp: Stamp) -> bool:
    return stamp == OLD


def sight(**tags: str) -> Sight:
    revisions = {one: YOUNG if one == "new" else OLD for one in MANIFESTS}
    return Sight(tags, revisions, Links(BLOBS, lambda _: OLD))


def spare(found: Spare) -> tuple[list[str], list[str]]:
    """Manifests and blobs; what stays is the rest."""
    assert {*found.stays} == {*MANIFESTS, *BLOBS} - {*found.revisions, *found.layers}
    return [*found.revisions], [*found.layers]


def test_all_manifests_stay_unless_it_is_said_from_when_on_they_go() -> None:
    assert spare(marking.spare(sight(t="top"), MANIFESTS.__getitem__, is_old, None)) == ([], ["none"])


def test_what_no_tag_leads_to_is_spare_if_it_is_old() -> None:
    found = marking.spare(sight(t="top"), MANIFESTS.__getitem__, is_old, is_old)
    assert spare(found) == (["lost"], ["two", "none"])
    found = marking.spare(sight(), MANIFESTS.__getitem__, is_old, is_old)
    assert [*found.revisions] == ["top", "child", "about", "lost"]


def test_what_is_young_stays_with_what_it_needs() -> None:
    found = marking.spare(sight(), MANIFESTS.__getitem__, is_old, is_old)
    assert "new" not in found.revisions and "three" not in found.layers
    young = Sight({}, {}, Links(["one"], lambda _: YOUNG))
    assert not marking.spare(young, MANIFESTS.__getitem__, is_old, is_old)


def test_nothing_is_spare_where_a_manifest_can_not_be_read() -> None:
    def read(digest: str) -> Manifest:
        raise Unreadable("no JSON")

    found = marking.spare(sight(t="top"), read, is_old, is_old)
    assert not found and "no JSON" in found.held
    assert marking.wanted_back(sight(t="top"), ["lost"], read) is None
    assert marking.wanted_back(Sight(odd=("x",)), ["lost"], MANIFESTS.__getitem__) is None


def test_what_is_there_again_and_what_it_names_is_wanted_back() -> None:
    later = Sight({"t": "child"}, {"new": YOUNG})
    found = marking.wanted_back(later, ["child", "about", "lost", "top"], MANIFESTS.__getitem__)
    assert found is not None
    assert found.revisions == {"child", "about", "new"} and found.blobs == {"one", "far", "signature", "three"}


def test_links_that_are_gone_leave_their_places_hollow() -> None:
    lost = Sight({}, {}, Links(["one", "two"], lambda name: OLD if name == "one" else None))
    found = marking.spare(lost, MANIFESTS.__getitem__, is_old, is_old)
    assert ([*found.layers], [*found.stays], found.hollow) == (["one"], [], True)
    assert not marking.spare(sight(), MANIFESTS.__getitem__, is_old, is_old).hollow


def test_what_was_written_in_this_very_tick_is_not_old() -> None:
    """It may be written anew in it, and look the same."""
    assert not clocks.older(95, 0)(YOUNG) and clocks.older(96, 0)(YOUNG)
    second = Stamp(1, 1, 1, 10**9, 10**9)
    assert clocks.older(3 * 10**9 + 1, 2)(second) and not clocks.older(3 * 10**9, 2)(second)
