"""Bytes as text: one rule for what is none, and a way for what must come back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.base import utf8
from secreg_host.base.errors import BadInput

NONE = {
    b"one\ntwo \xe9\nthree": (2, "not UTF-8"),  # Latin-1
    b"\xed\xa0\x80": (1, "not UTF-8"),  # half of a pair of UTF-16
    "one\ntwø\n".encode("utf-16"): (1, "is UTF-16"),
    "\ufeffone\n".encode("utf-16-be"): (1, "is UTF-16"),
    "one\ntwo\n".encode("utf-16-le"): (1, "is UTF-16"),
    "one\ntwo\n".encode("utf-16-be"): (1, "is UTF-16"),
    b"one\ntwo \xff\xfe": (2, "not UTF-8"),
    b"\0\0\0\0": (1, "NUL"),
    b"one\n\ntwo\0": (3, "NUL"),
}


@pytest.mark.parametrize("data", NONE)
def test_what_is_no_text_is_told_with_its_line(data: bytes) -> None:
    line, said = NONE[data]
    for read in (utf8.text, utf8.exact):
        with pytest.raises(BadInput) as caught:
            read(data, "x.conf")
        (problem,) = caught.value.problems
        assert problem.where == f"x.conf:{line}" and said in problem.what and problem.hint == utf8.HINT
    with pytest.raises(BadInput, match="see x"):
        utf8.exact(data, "x.conf", "see x")


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    data = "\ufeffé\ufeff\r\n".encode()
    assert utf8.text(data, "") == "é\ufeff\r\n", "in the middle it is a character"
    assert utf8.exact(data, "").encode() == data
    assert utf8.text(b"", "") == ""


@given(st.binary())
def test_what_is_passed_on_comes_back_byte_for_byte(data: bytes) -> None:
    assert utf8.back(utf8.lossless(data)) == data
    utf8.shown(data).encode()


def test_what_is_shown_keeps_what_is_text() -> None:
    assert utf8.shown(b"caf\xe9 \xc3\xa9") == "caf\ufffd é"
