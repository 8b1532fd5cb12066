"""Lists of backups: what is written is read, and what is not as it was written is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.images.closure import Flaw
from secreg_host.images.survey import Entry
from secreg_host.upkeep import listing
from secreg_host.upkeep.judging import Broken
from secreg_host.upkeep.listing import Damaged, Writer

A, B = ("sha256:" + letter * 64 for letter in "ab")
LONG = "sha512:" + "c" * 128
ENTRIES: list[Entry] = [
    ("about", '{"host": "a b"}'),
    ("config", "7", A),
    ("broken", "-", "-", "/x: Permission denied"),
    ("repository", "a/b"),
    ("tag", "1", A, "1000"),
    ("was", "1", B, "-5"),
    ("revision", A, "1000"),
    ("layer", LONG),
    ("broken", "1", B, 'odd "words"\nand lines \udce4'),
    ("gone", "2"),
    ("blob", A, "0"),
    ("repository", "c"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    writer = Writer(tmp_path / "list")
    for entry in ENTRIES:
        writer.add(entry)
    writer.finish()
    return tmp_path / "list"


def test_what_is_written_is_read(path: Path) -> None:
    assert list(listing.entries(path)) == ENTRIES
    assert listing.about(path) == {"host": "a b"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().isascii()


def test_repositories(path: Path) -> None:
    none, one, two = listing.sections(listing.entries(path))
    assert (none.name, none.broken) == ("", [Flaw("", "", "/x: Permission denied")])
    assert (one.name, one.tags, one.revisions, one.layers) == ("a/b", {"1": A}, {A: "1000"}, [LONG])
    assert one.broken[0][:2] == ("1", B) and one.entries == ENTRIES[3:11]
    assert (two.name, two.tags) == ("c", {})


def test_a_cut_list_is_found_wherever_it_is_cut(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Damaged):
            list(listing.entries(path))


def test_a_flipped_bit_is_found_wherever_it_is(path: Path) -> None:
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(Damaged):
            list(listing.entries(path))


def test_lines_that_are_missing_or_too_many_are_found(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines)):
        for changed in (lines[:at] + lines[at + 1 :], lines[:at] + lines[at:] + lines[at : at + 1]):
            path.write_bytes(b"".join(changed))
            with pytest.raises(Damaged):
                list(listing.entries(path))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "blob",
        f"blob {A}",
        f"blob {A} x",
        f"blob {A} 1 2",
        f"blob {A.upper()} 1",
        "layer ../../etc/shadow",
        "layer sha256:../../etc",
        "repository ../a",
        "repository A",
        "repository " + "a" * 256,
        f"tag ../x {A} 1",
        f"tag . {A} 1",
        f"broken 1 {A} no json",
        "about {",
        "other x",
        "end 1 x",
        f"blob {A} -1",
        f"blob {A} {'9' * 19}",
        f"tag 1 {A} {'9' * 19}",
        f"config {'9' * 5000} {A}",
        'about {"x": %s}' % ("9" * 5000),
    ],
)
def test_what_is_no_line(line: str) -> None:
    with pytest.raises(Damaged):
        listing.entry_of(line)


def test_an_end_of_many_digits_is_none(path: Path) -> None:
    """Seen red: no integer has so many."""
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"\nend ", b"\nend " + b"9" * 5000))
    with pytest.raises(Damaged):
        list(listing.entries(path))


def test_no_link_is_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        list(listing.entries(tmp_path / "link"))


def test_nothing_in_a_list_steers_a_terminal(tmp_path: Path) -> None:
    writer = listing.Writer(tmp_path / "list")
    writer.add(("about", '{"host": "\\u001b[2Jx", "images": null}'))
    writer.finish()
    assert listing.about(tmp_path / "list") == {"host": "?[2Jx", "images": None}
    assert str(Broken("a", "1", A, "\x1b[2Jy\n")) == f"a:1: {A}: ?[2Jy?"
