"""Which headers have no password, compared with what nginx decodes."""

from __future__ import annotations

import base64
import re
import string
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from secreg_host.formats import users
from secreg_host.formats.users import User
from secreg_host.generation.basicauth import NO_PASSWORD

ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
NEAR = st.lists(st.sampled_from([b":", b"\0", b"a", b"9:", b"\xff", b";", b"z\x0e", b"\xe8"])).map(b"".join)


def decoded(header: str) -> bytes | None:
    """The user and the password as ngx_http_auth_basic_user has them; None: there are none."""
    if header[:6].lower() != "basic ":
        return None
    text = header[6:].lstrip(" ").partition("=")[0]
    if not text or len(text) % 4 == 1 or set(text) - set(ALPHABET):
        return None
    bits = "".join(f"{ALPHABET.index(char):06b}" for char in text)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


def without_password(header: str) -> bool:
    """Whether nginx would check an empty password, or one of a user without a name."""
    user, colon, password = (decoded(header) or b"").partition(b":")
    return bool(colon) and (not user or not password or password.startswith(b"\0"))


def refused(header: str) -> bool:
    return re.search(NO_PASSWORD, header) is not None


@pytest.mark.promise("empty-passwords")
@given(st.one_of(st.binary(), NEAR), st.sampled_from(["Basic ", "basic   ", "bAsIc "]), st.booleans())
@example(b"docker:", "Basic ", True)
@example(b"docker::", "Basic ", True)
@example(b"a:b:", "Basic ", True)
@example(b":", "Basic ", True)
@example(b"ab:\0", "Basic ", False)
def test_exactly_those_without_a_password_are_refused(data: bytes, scheme: str, padded: bool) -> None:
    text = base64.b64encode(data).decode()
    header = scheme + (text if padded else text.rstrip("="))
    assert decoded(header) == (data or None)
    assert refused(header) == without_password(header)


@given(st.text(ALPHABET + "= -_", max_size=30))
@example("YTo=YTpi")
@example("YTp")
def test_none_gets_by_in_another_form(text: str) -> None:
    if without_password(f"Basic {text}"):
        assert refused(f"Basic {text}")
    elif decoded(f"Basic {text}") is not None:
        assert not refused(f"Basic {text}")


@pytest.mark.parametrize("header", ["", "Basic", "Basic ", "Bearer Og==", "Digest Og==", "xBasic Og=="])
def test_other_headers_are_not_judged(header: str) -> None:
    assert not refused(header)


def test_a_long_header_takes_no_time() -> None:
    began = time.process_time()
    for text in ("abcd" * 5000, "abcd" * 5000 + "!", "O" * 20000, "aaa6" * 5000):
        refused(f"Basic {text}")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("value", ["{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "{SSHA}gf6L/odXbD7LIkJvjleEc4KRes9hYmNk"])
def test_what_can_be_told_at_once_is_told(value: str) -> None:
    [found] = users.empty([User("bob", value, 3), User("eve", "{SHA}sjtLjWgc/4GRCphLKHWUi/wyyOE=", 4)], "f")
    assert found.where == "f:3" and "bob" in found.what and "empty" in found.what


def test_no_command_makes_an_empty_password() -> None:
    for scheme in users.Scheme:
        with pytest.raises(users.SecregError, match="empty"):
            users.make_hash("", scheme)
