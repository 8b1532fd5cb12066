"""Hashes that nobody waits for are told and not checked; each one by which somebody can get in is as it was."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.formats import hashcost, users
from secreg_host.formats.hashcost import Cost
from secreg_host.formats.users import Scheme

SHA512, SHA256, BCRYPT = "x" * 86, "x" * 43, "x" * 53
ABSURD = {
    "sha512_crypt": f"$6$rounds=999999999$salt${SHA512}",
    "sha256_crypt": f"$5$rounds=999999999$salt${SHA256}",
    "bcrypt": f"$2y$31${BCRYPT}",
    "bcrypt_x": f"$2x$20${BCRYPT}",
    "sha1_crypt": f"$sha1$4294967295$salt${'x' * 28}",
    "sun_md5_crypt": f"$md5,rounds=4294967295$saltsalt$${'x' * 22}",
    "yescrypt": f"$y$jUT$salt${SHA256}",
    "yescrypt, so much memory": f"$y$jGT$salt${SHA256}",
    "yescrypt, at once": f"$y$j9T.zzzzzz$salt${SHA256}",
    "yescrypt, again and again": f"$gy$j9T/zzzzzz$salt${SHA256}",
    "scrypt": f"$7$zU..../....salt${SHA256}",
    "scrypt, so much memory": f"$7$HU..../....salt${SHA256}",
    "scrypt, again and again": f"$7$CU....zzz..salt${SHA256}",
}
SANE = {
    "sha512_crypt": f"$6$salt${SHA512}",
    "sha512_crypt, 5,000,000": f"$6$rounds=5000000$salt${SHA512}",
    "sha512_crypt, the most": f"$6$rounds={hashcost.ROUNDS}$salt${SHA512}",
    "sha256_crypt": f"$5$rounds=10000000$salt${SHA256}",
    "bcrypt": f"$2b$17${BCRYPT}",
    "bcrypt_x": f"$2x$16${BCRYPT}",
    "sha1_crypt": f"$sha1$5000000$salt${'x' * 28}",
    "sun_md5_crypt": f"$md5,rounds=1000000$saltsalt$${'x' * 22}",
    "yescrypt": f"$y$j9T$salt${SHA256}",
    "yescrypt, the highest cost of crypt_gensalt(3)": f"$y$jFT$salt${SHA256}",
    "yescrypt, its first flavor": f"$y$.FT$salt${SHA256}",
    "scrypt": f"$7$CU..../....salt${SHA256}",
    "scrypt, the highest cost of crypt_gensalt(3)": f"$7$GU..../....salt${SHA256}",
    "bsdi_crypt": f"_zzzz{'x' * 15}",
    "apr_md5_crypt": f"$apr1$salt${'x' * 22}",
    "ldap_sha1": "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
}


@pytest.mark.promise("costly-hashes")
@pytest.mark.parametrize("value", ABSURD.values(), ids=ABSURD)
def test_a_hash_that_nobody_waits_for_is_told_with_its_line(value: str) -> None:
    """Seen: each question for that user kept a processor at work for minutes, and nobody got in by it."""
    found, (problem,) = users.parse(f"bob:{SANE['ldap_sha1']}\neve's:{value}\n".encode(), "there")
    assert [user.name for user in found] == ["bob"]
    assert problem.where == "there:2" and "eve's" in problem.what and value not in str(problem)
    assert "longer than a client waits (25 s)" in problem.what or "more than 1 GiB of memory" in problem.what
    assert problem.hint == "hash anew: secure-registry htpasswd " + shlex.quote("eve's")


@pytest.mark.parametrize("value", SANE.values(), ids=SANE)
def test_all_others_are_as_they_were(value: str) -> None:
    found, problems = users.parse(f"eve:{value}\n".encode(), "there")
    assert ([user.hash for user in found], problems) == ([value], ())


def test_what_is_written_here_is_never_too_much() -> None:
    assert hashcost.too_much(users.make_hash("x", Scheme.SHA512)) == ""
    assert hashcost.of("$2y$17$").seconds < hashcost.SECONDS / 5, "the highest cost of our own htpasswd"


def test_parameters_of_yescrypt() -> None:
    """As libxcrypt reads them: N, r; p if `have` has 1, t if it has 2; numbers from 48 on take more digits."""
    assert hashcost.of("$y$j9T$salt$") == Cost(4096 * 32 / hashcost.BLOCKS, 128 * 4096 * 32)
    assert hashcost.of("$y$j9T.0$salt$").seconds == 4 * hashcost.of("$y$j9T$salt$").seconds
    assert hashcost.of("$y$j9T/0$salt$").seconds == 4 * hashcost.of("$y$j9T$salt$").seconds
    assert hashcost.of("$7$CU..../....salt$") == Cost(16384 * 32 / hashcost.BLOCKS, 128 * 16384 * 32)
    assert hashcost._numbers("jk.rzs..uHUzSxvrEz") == [47, 48, 559, 560, 10_000, 1 << 29], "the last one is cut short"


@given(st.text(hashcost.DIGITS, max_size=12))
def test_any_parameters_have_a_cost(text: str) -> None:
    for value in (f"$y${text}$salt$", f"$7${text}$salt$"):
        assert hashcost.of(value).seconds >= 0
