"""What is sealed by a passphrase."""

from __future__ import annotations

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.upkeep import sealing
from secreg_host.upkeep.sealing import Sealer


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "COST", 2)


def sealed(*pieces: bytes, passphrase: str = "correct horse") -> bytes:
    found: list[bytes] = []
    sealer = Sealer(passphrase, found.append)
    for piece in pieces:
        sealer.write(piece)
    sealer.finish()
    return b"".join(found)


@pytest.mark.parametrize("size", [0, 1, sealing.PIECE - 1, sealing.PIECE, sealing.PIECE + 1, 3 * sealing.PIECE])
def test_it_is_opened_by_its_passphrase(size: int) -> None:
    data = b"x" * size
    made = sealed(data)
    assert sealing.is_sealed(made) and (size < 10 or b"xxxxxxxxxx" not in made)
    assert sealing.opened(made, "correct horse") == data
    assert sealed(data) != made, "another key each time"


def test_pieces_do_not_matter() -> None:
    assert sealing.opened(sealed(b"a" * 700_000, b"b" * 700_000), "correct horse") == b"a" * 700_000 + b"b" * 700_000


@pytest.mark.parametrize("passphrase", ["", "correct", "correct horse "])
def test_by_no_other_one(passphrase: str) -> None:
    with pytest.raises(BadInput, match="another one"):
        sealing.opened(sealed(b"secret"), passphrase)


def test_what_was_changed_or_cut_is_found() -> None:
    made = sealed(b"x" * (2 * sealing.PIECE))
    one = len(sealing.FIRST) + sealing.SALT
    piece = sealing.LENGTH + sealing.PIECE + sealing.TAG
    first, second = made[one : one + piece], made[one + piece :]
    for harmed in (
        made[:one] + first,
        made[:one] + second,
        made[:one] + second + first,
        made[:one] + first + first,
        made[:one],
        made[:-1],
        made[: one + 100] + b"!" + made[one + 101 :],
        made[: one - 1] + b"!" + made[one:],
        made + b"more",
    ):
        with pytest.raises(BadInput):
            sealing.opened(harmed, "correct horse")
