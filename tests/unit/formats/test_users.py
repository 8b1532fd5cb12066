"""htpasswd files: what nginx accepts we accept, what it can't check is dropped and named, nothing secret is said."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.base import crypt
from secreg_host.base.errors import BadInput
from secreg_host.formats import users
from secreg_host.formats.users import Scheme

COSTS = {Scheme.SHA512: 1000, Scheme.SHA256: 1000, Scheme.BCRYPT: 4}


@pytest.mark.parametrize("scheme", list(Scheme))
def test_each_scheme_verifies_its_own(scheme: Scheme) -> None:
    value = users.make_hash("geheim", scheme, COSTS.get(scheme))
    assert users.verify("geheim", value) and not users.verify("Geheim", value)
    found, problems = users.parse(f"alice:{value}\n".encode(), "f")
    assert (found[0].hash, problems) == (value, ())


@pytest.mark.promise("apaches-files")
@pytest.mark.real
@pytest.mark.parametrize("flag", ["-B", "-m", "-5", "-2", "-s", "-d"])
def test_apaches_tool_and_ours_agree(flag: str, tmp_path: object) -> None:
    program = shutil.which("htpasswd") or "/usr/bin/htpasswd"
    made = subprocess.run([program, "-nb", flag, "alice", "geheim"], capture_output=True, text=True, check=True)
    (user,), problems = users.parse(made.stdout.encode(), "f")
    assert problems == () and users.verify("geheim", user.hash) and not users.verify("x", user.hash)


@pytest.mark.parametrize(
    "line",
    ["plainpassword", ":x", "eve:", "eve:geheim", "eve:{PLAIN}geheim", "eve:$6$salt$short", "eve:$apr1$x",
     "eve:$2y$10$abc", "\x01:x", "eve:{SHA}x", "x" * 256 + ":" + "a" * 13],
)  # fmt: skip
def test_bad_lines_are_dropped_and_nothing_secret_is_said(line: str) -> None:
    found, problems = users.parse(f"# ok\n{line}\n".encode(), "f")
    assert found == () and len(problems) == 1
    assert problems[0].where == "f:2"
    secret = line.partition(":")[2]
    assert "plainpassword" not in str(problems[0]) and (len(secret) < 4 or secret not in str(problems[0]))


def test_comments_crlf_bom_and_a_second_line_of_a_user() -> None:
    value = users.make_hash("x", Scheme.SHA)
    data = f"\ufeff# users\r\n\r\nalice:{value}\r\nalice:{value}\nbob:{value}:a remark".encode()
    found, problems = users.parse(data, "f")
    assert [(user.name, user.line) for user in found] == [("alice", 3), ("bob", 5)]
    assert problems[0].where == "f:4" and "first in line 3" in problems[0].what
    assert users.render(found) == f"alice:{value}\nbob:{value}\n".encode()


def test_thousands_of_bad_lines_are_a_few_problems() -> None:
    found, problems = users.parse(b"bad\n" * 5000 + f"bob:{users.make_hash('x', Scheme.SHA)}\n".encode(), "f")
    assert [user.name for user in found] == ["bob"] and len(problems) == users.TOLD + 1
    assert problems[-1].what.startswith(f"{5000 - users.TOLD} more lines")


@pytest.mark.parametrize("value", ["{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "{SSHA}spXRFxNal2PaKC59rnOlyn0+WxFzYWx0"])
def test_a_hash_of_the_empty_password_is_told(value: str) -> None:
    """Which lets nobody in; one of another password isn't."""
    line = f"eve:{value}\nbob:{users.make_hash('x', Scheme.SHA)}\n"
    (problem,) = users.empty(users.parse(line.encode(), "f")[0], "f")
    assert problem.where == "f:1" and "'eve' is empty" in problem.what and problem.hint


def test_bytes_that_are_no_text_are_one_bad_line() -> None:
    value = users.make_hash("x", Scheme.SHA)
    found, problems = users.parse(b"\xff\xfe:x\nbob:" + value.encode(), "f")
    assert [user.name for user in found] == ["bob"] and problems[0].where == "f:1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(encoding: str) -> None:
    """As PowerShell's > writes it, and Apache's tool adds to it: one problem, whatever its lines look like."""
    line = f"alice:{users.make_hash('secret', Scheme.SHA)}\n"
    data = (line * 300).encode(encoding)
    for added, names in ((b"", []), (b"\n" + line.encode() if encoding == "utf-16" else b"", ["alice"])):
        found, (problem,) = users.parse(data + added, "users")
        assert [user.name for user in found] == (names if added else [])
        assert (problem.where, "UTF-16" in problem.what, "UTF-8" in problem.hint) == ("users", True, True)


def test_weak_hashes_are_a_warning() -> None:
    lines = [f"{scheme}:{users.make_hash('x', scheme, COSTS.get(scheme))}" for scheme in Scheme]
    found, _ = users.parse("\n".join(lines).encode(), "f")
    (problem,) = users.weak(found, "f")
    assert problem.where == "f:4" and "'apr1', 'sha', 'crypt'" in problem.what


def test_many_weak_hashes_are_one_warning() -> None:
    """Seen: 20,000 users of an older tool, and as many lines in status and the journal, and units for hooks."""
    value = users.make_hash("x", Scheme.SHA)
    found, _ = users.parse("".join(f"user{number}:{value}\n" for number in range(20_000)).encode(), "f")
    (problem,) = users.weak(found, "f")
    assert problem.what.endswith("'user4' and 19995 more") and "user5" not in str(problem)


OF_CRYPT = {
    "yescrypt": "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$",
    "gost-yescrypt": "$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$",
    "scrypt": "$7$CU..../....2Q9obwLhin8qvQl6sisAO/$",
    "bcrypt x": "$2x$04$abcdefghijklmnopqrstuu",
    "sha1": "$sha1$248$abcd$",
    "SunMD5": "$md5$abcdefgh$",
    "SunMD5 with rounds": "$md5,rounds=10$abcdefgh$$",
    "BSDi": "_J9..rasm",
    "bigcrypt": "abXXXXXXXXXXXXXXXXXXXXXX",
    "NT": "$3$$",
}
"""Settings of crypt(5) for hashes that only crypt(3) knows."""


@pytest.mark.real
@pytest.mark.parametrize("setting", OF_CRYPT.values(), ids=OF_CRYPT)
def test_what_crypt_makes_is_a_hash(setting: str) -> None:
    """nginx passes on to crypt(3) whatever it has no way of its own for (ngx_crypt.c)."""
    made = crypt._crypt()(b"geheim und viel laenger als acht", setting.encode()).decode()
    (user,), problems = users.parse(f"alice:{made}\n".encode(), "f")
    assert problems == () and users.scheme_of(made) in users.OF_CRYPT
    assert users.verify("geheim und viel laenger als acht", user.hash) and not users.verify("falsch", user.hash)


@pytest.mark.parametrize("password", ["", "a\nb", "a\x00b", "x" * 512, "ä" * 256, "x" * 5000], ids=len)
@pytest.mark.parametrize("scheme", list(Scheme))
def test_impossible_passwords(password: str, scheme: Scheme) -> None:
    """One of 5,000 bytes was a bug (PasswordSizeError), and one of 512 a hash by which nobody could log in."""
    with pytest.raises(BadInput):
        users.make_hash(password, scheme, COSTS.get(scheme))
    value = users.make_hash("x", scheme, COSTS.get(scheme))
    assert not users.verify(password, value) and not users.verify("x\x00y", value)


@pytest.mark.real
def test_the_longest_password_is_that_of_crypt() -> None:
    """By which nginx checks it."""
    password = "x" * users.LIMIT
    assert crypt.is_right(password, users.make_hash(password, Scheme.SHA512, 1000))
    assert crypt._crypt()(f"{password}x".encode(), b"$6$rounds=1000$salt$") == b"*0"


def test_bcrypt_refuses_what_it_would_cut() -> None:
    with pytest.raises(BadInput):
        users.make_hash("x" * 73, Scheme.BCRYPT, 4)


@given(st.binary())
def test_any_bytes_are_read_and_what_is_kept_reads_back(data: bytes) -> None:
    found, _ = users.parse(data, "f")
    again, problems = users.parse(users.render(found), "f")
    assert [(user.name, user.hash) for user in again] == [(user.name, user.hash) for user in found]
    assert problems == ()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=20))
def test_any_password_in_any_language(password: str) -> None:
    assert users.verify(password, users.make_hash(password, Scheme.SHA512, 1000))


@pytest.mark.parametrize("name", [users.PROBE, users.PROBE.upper()])
def test_nobody_is_called_as_our_own_probe(name: str) -> None:
    """nginx's map does not tell cases apart."""
    line = f"{name}:{users.fast_hash('x')}\n".encode()
    found, problems = users.parse(line, ".htpasswd")
    assert not found and "secure-registry itself" in problems[0].what and problems[0].where == ".htpasswd:1"
