"""PEM and DER as OpenSSL reads them: what it takes, and refuses, nginx does. (Python's ssl is OpenSSL.)"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from secreg_host.base.errors import BadInput
from secreg_host.formats import der, pem
from secreg_host.pki import chains
from tests import der as made
from tests.unit.pki.test_clientrules import CA, Leaf

PAIR = Leaf().pair()
CRT, SECOND = PAIR.crt, CA.crt
LINES = CRT.splitlines()


def lines(change: Callable[[bytes], bytes]) -> bytes:
    return b"".join(change(line) + b"\n" for line in LINES)


def aux(crt: bytes) -> bytes:
    """As TRUSTED CERTIFICATE, with what it is trusted for: nothing."""
    return pem.encoded("TRUSTED CERTIFICATE", pem.blocks(crt, "")[0].data + b"\x30\x00")


CASES = {
    "plain": CRT,
    "a chain": CRT + SECOND,
    "no newline at the end": CRT.rstrip(b"\n"),
    "glued": CRT.rstrip(b"\n") + SECOND,
    "glued at the end": CRT + SECOND.rstrip(b"\n") + SECOND,
    "byte order mark": b"\xef\xbb\xbf" + CRT,
    "CRLF": CRT.replace(b"\n", b"\r\n"),
    "CR": CRT.replace(b"\n", b"\r"),
    "indented": lines(lambda line: b"  " + line),
    "blanks at the ends": lines(lambda line: line + b" \t"),
    "no-break spaces at the ends": lines(lambda line: line + b"\xc2\xa0"),
    "blanks within": lines(lambda line: line if b"-" in line else line[:9] + b" " + line[9:]),
    "base64 in one line": b"\n".join([LINES[0], b"".join(LINES[1:-1]), LINES[-1], b""]),
    "blank lines": b"\n\n".join(LINES),
    "text around": b"subject=x\n" + CRT + b"# next\n" + SECOND + b"the end\n",
    "TRUSTED": aux(CRT),
    "TRUSTED in the second place": CRT + aux(SECOND),
    "X509": CRT.replace(b"CERTIFICATE", b"X509 CERTIFICATE"),
    "lower case": CRT.replace(b"BEGIN", b"begin"),
    "PKCS7": CRT.replace(b"CERTIFICATE", b"PKCS7"),
    "the key, too": PAIR.key + CRT,
    "cut": CRT[:200],
    "the second one cut": CRT + SECOND[:200],
    "a begin at the end": CRT + LINES[0],
    "a character that is none": lines(lambda line: line if b"-" in line else line[:9] + b"!" + line[9:]),
    "four dashes": CRT.replace(b"-----END CERTIFICATE-----", b"-----END CERTIFICATE----"),
    "another end": CRT.replace(b"END CERTIFICATE", b"END X509 CERTIFICATE"),
    "headers": b"\n".join([LINES[0], b"Proc-Type: 4,CLEAR", b"", *LINES[1:], b""]),
    "UTF-16": CRT.decode().encode("utf-16"),
    "NUL": CRT.replace(b"\n", b"\0\n", 1),
    "empty": b"",
    "junk in a block": CRT + pem.encoded("CERTIFICATE", b"\0\0\0"),
}


def openssl(folder: Path, data: bytes) -> bool:
    """Whether OpenSSL takes `data` for the certificate of the key, as nginx has it read."""
    (folder / "crt").write_bytes(data)
    (folder / "key").write_bytes(PAIR.key)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / "crt", folder / "key")
    except (ssl.SSLError, ValueError):
        return False
    return True


@pytest.mark.parametrize("case", CASES)
def test_what_openssl_reads_is_read(case: str, tmp_path: Path) -> None:
    data = CASES[case]
    try:
        ours = chains.read(data, "file")[0].data == chains.read(CRT, "")[0].data
    except BadInput as error:
        ours = False
        assert error.problems[0].where.startswith("file") and error.problems[0].hint
    assert ours == openssl(tmp_path, data)


@pytest.mark.parametrize(
    ("case", "place", "said"),
    [
        ("glued", "file:1", "a newline is missing"),
        ("glued at the end", f"file:{len(LINES) + 1}", "a newline is missing"),
        ("UTF-16", "file", "UTF-16"),
        ("blank lines", "file:1", "blank lines"),
        ("empty", "file", "is empty"),
        ("the second one cut", f"file:{len(LINES) + 1}", "nothing ends"),
        ("headers", "file:1", "headers"),
    ],
)
def test_what_is_wrong_has_a_line(case: str, place: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        chains.read(CASES[case], "file")
    (problem,) = caught.value.problems
    assert problem.where == place and said in problem.what and problem.hint


def test_defaults_that_are_written_out_are_read() -> None:
    """DER has none, so the library refuses them; OpenSSL and Go do not."""
    key = Leaf().key.public_key()
    extensions = (
        made.extension(made.SAN, made.HOST, made.FALSE),
        made.extension(made.CONSTRAINTS, made.tlv(made.SEQUENCE, made.FALSE), made.TRUE),
    )
    written = made.certificate(chains.public_bytes(key), extensions=extensions)
    with pytest.raises(ValueError):
        x509.load_der_x509_certificate(written)
    (one,) = chains.read(made.pem(written), "")
    assert one.names == ("registry.example.org",) and one.data == written
    constraints = one.extension(x509.BasicConstraints)
    assert constraints is not None and not constraints.ca
    assert one.signed.tbs in written


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x82\xff\xff", b"\x1f\x81\x01", b"\x30\x80\0\0", b"text"])
def test_what_is_no_der_stays_as_it_is(data: bytes) -> None:
    assert der.plain(data) == data
