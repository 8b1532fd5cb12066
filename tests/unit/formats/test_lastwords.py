"""What programs say is told; what they quote of files is not."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from secreg_host.formats import lastwords


@pytest.mark.promise("last-words")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('unknown directive "s3cr3t"', 'unknown directive "…"'),
        ('unknown directive "Basic "a" s3cr3t"', 'unknown directive "…"'),
        ('unknown directive "Basic s3cr3t', 'unknown directive "…"'),
        ('unknown directive "/s3cr3t"', 'unknown directive "…"'),
        ('invalid number of arguments in "proxy_set_header" directive', None),
        ('"server" directive is not allowed here', None),
        ('"s3cr3t directive" x', '"…" x'),
        ('invalid parameter "s3cr3t" in "listen" directive', 'invalid parameter "…" directive'),
        ('open() "/etc/secure-registry/x.conf" failed (2: No such file or directory)', None),
        ('cannot load certificate "/x/y.crt": BIO_new_file() failed (SSL: error:02001002:system library:fopen)', None),
        ('cannot load certificate key "/x/y.key": PEM_read_bio_PrivateKey() failed', None),
        ("bind() to 0.0.0.0:443 failed (98: Address already in use)", None),
        ('unknown "s3cr3t" variable', 'unknown "…" variable'),
        ("", None),
    ],
)
def test_nginx(said: str, shown: str | None) -> None:
    assert lastwords.nginx(said) == (said if shown is None else shown)


YML = """\
version: 0.1
log: {level: loud}
storage:
  filesystem: {rootdirectory: /srv/images}
  s3: {secretkey: "AKIA/verysecret+key=", list: [one-secret]}
text: |
  first line of it
  second line of it
"""


@pytest.mark.promise("last-words")
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("invalid loglevel loud Must be one of [error, warn, info, debug]",
         "invalid loglevel … Must be one of [error, warn, info, debug]"),
        ("line 5: cannot unmarshal !!str `AKIA/ve...` into int", "line 5: cannot unmarshal !!str … into int"),
        ("line 5: bad AKIA/ve... here", "line 5: bad … here"),
        ("mkdir /srv/images: permission denied", "mkdir /srv/images: permission denied"),
        ("no such key one-secret, AKIA/verysecret+key=", "no such key …, …"),
        ('parse "redis://:pw@host": first line of it', "parse …: …"),
        ("version 0.1", "version 0.1"),
    ],
)  # fmt: skip
def test_the_registry(said: str, shown: str) -> None:
    assert lastwords.registry(said, YML.encode()) == shown


@pytest.mark.promise("last-words")
@given(st.text("abcdef0123=/+-. ", min_size=3, max_size=20), st.text("xyz ", max_size=10), st.booleans())
def test_no_value_is_left(value: str, around: str, listed: bool) -> None:
    assume(value.strip() == value and value not in lastwords.HIDDEN)
    yml = yaml.safe_dump({"storage": {"s3": {"secretkey": [value] if listed else value}}}).encode()
    assert value not in lastwords.registry(f"{around}{value}{around}: {value}", yml)
