"""The certificate that was brought: held back for what clients refuse under every name that somebody set, unless what
serves is no better; else told. (The clients themselves: tests/real/test_clientrules.py.)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from secreg_host.base.errors import BadInput
from secreg_host.base.paths import Paths
from secreg_host.base.snapshot import Snapshot
from secreg_host.pki import certs
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.parts.certificate import CertificatePart
from secreg_host.wanted.parts.part import Reading
from tests.unit.pki.test_clientrules import CA, NAME, NOW, OTHER, Leaf

OTHER_NAME = Leaf(names=("other.example.org",), by=certs.make_ca(["example.org"], [], NOW, "Void", "host"))
CLIENT = Leaf(extended=(ExtendedKeyUsageOID.CLIENT_AUTH,))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path)
    for folder in (found.etc, found.state):
        folder.mkdir(parents=True)
    found.ca_crt.write_bytes(CA.crt)
    for path, data in ((found.state / "ca.crt", OTHER.crt), (found.ca_key, OTHER.key)):  # the host's own is another one
        path.write_bytes(data)
    return found


def read(
    paths: Paths, leaf: Leaf, before: CertificatePart | None = None, asked: Sequence[str] = (NAME,), now: datetime = NOW
) -> Reading[CertificatePart]:
    pair = leaf.pair()
    paths.crt.write_bytes(pair.crt)
    paths.key.write_bytes(pair.key)
    paths.ca_crt.write_bytes(leaf.by.crt)
    return certificate.read(Snapshot(paths), now, before, asked)


def serving(paths: Paths, leaf: Leaf) -> CertificatePart:
    """As an earlier version let it serve."""
    found = read(paths, leaf, asked=()).part or read(paths, Leaf()).part
    assert found is not None
    pair = leaf.pair()
    return replace(found, files={**found.files, certificate.CRT: pair.crt, certificate.KEY: pair.key})


@pytest.mark.promise("certificates-as-clients-judge")
def test_what_no_client_takes_is_held_back(paths: Paths) -> None:
    good = serving(paths, Leaf())
    for leaf, said in ((OTHER_NAME, "for none of"), (CLIENT, "serverAuth"), (Leaf(names=()), "no name")):
        for before in (None, good):
            found = read(paths, leaf, before)
            assert found.part is None and not found.waiting
            (problem,) = found.problems
            assert problem.where == str(paths.crt) and said in problem.what and problem.hint


def test_names_that_nobody_set_hold_back_nothing(paths: Paths) -> None:
    found = read(paths, OTHER_NAME, asked=())
    assert found.part is not None and found.warnings == ()


def test_one_of_the_names_is_enough_and_the_others_are_told(paths: Paths) -> None:
    found = read(paths, Leaf(), asked=(NAME, "b.example.org", "192.0.2.1"))
    assert found.part is not None
    (warning,) = found.warnings
    assert "not for b.example.org, 192.0.2.1" in warning.what


@pytest.mark.promise("no-better-certificate")
@pytest.mark.parametrize("leaf", [OTHER_NAME, CLIENT, Leaf(names=())], ids=["names", "usage", "no names"])
def test_a_renewal_that_is_no_worse_serves_with_a_warning(paths: Paths, leaf: Leaf) -> None:
    """SERVER_NAME was set later, or version 0.1 took it: if it were held back, what serves would expire."""
    before = serving(paths, leaf)
    found = read(paths, leaf, before)
    assert found.part is not None and found.part.files[certificate.CRT] != before.files[certificate.CRT]
    (warning,) = found.warnings
    assert warning.what.endswith("clients refuse it")


@pytest.mark.promise("no-better-certificate")
def test_one_that_covers_less_than_what_serves_is_held_back(paths: Paths) -> None:
    before = serving(paths, OTHER_NAME)
    found = read(paths, replace(OTHER_NAME, names=("third.example.org",)), before)
    assert found.part is None and "for none of" in found.problems[0].what


def test_the_same_bytes_are_never_held_back(paths: Paths) -> None:
    before = serving(paths, CLIENT)
    paths.crt.write_bytes(before.files[certificate.CRT])
    found = certificate.read(Snapshot(paths), NOW, before, ("nowhere.example",))
    assert found.part is not None and len(found.warnings) == 2


def test_one_that_expired_replaces_nothing(paths: Paths) -> None:
    before = serving(paths, Leaf(days=-1))
    found = read(paths, Leaf(days=-1), before)
    assert found.part is None and "expired" in found.problems[0].what


@pytest.mark.promise("certificate-before-its-time")
def test_one_whose_time_comes_is_looked_at_then(paths: Paths) -> None:
    leaf, begins = Leaf(), NOW - timedelta(days=200)
    found = read(paths, leaf, now=begins - timedelta(hours=1))
    assert found.part is None and "valid only from" in found.problems[0].what
    assert "by itself" in found.problems[0].hint
    assert found.again is not None and found.again == begins.replace(microsecond=0)
    assert read(paths, leaf, now=found.again).part is not None


@pytest.mark.promise("end-of-a-certificate")
@pytest.mark.parametrize(
    ("life", "warned"), [(timedelta(hours=24), timedelta(hours=8)), (timedelta(days=90), timedelta(days=14))]
)
def test_the_end_is_told_a_third_before_and_two_weeks_at_the_most(
    paths: Paths, life: timedelta, warned: timedelta
) -> None:
    """Certificates of 24 hours warned for ever."""
    now = datetime.now(UTC).replace(microsecond=0)
    ca = certs.make_ca([NAME], [], now, "Void", "host")
    leaf = Leaf(by=ca, days=90).pair()
    ends = certificate.chains.read(leaf.crt, "")[0].validity[1]
    paths.ca_crt.write_bytes(ca.crt)
    begins = ends - life
    one = certificate.chains.read(leaf.crt, "")[0]
    object.__setattr__(one, "validity", (begins, ends))
    assert certificate.warned_at(one) == ends - warned


def test_ed25519_serves_and_is_told(paths: Paths) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    found = read(paths, replace(Leaf(), key=key))  # type: ignore[arg-type]
    assert found.part is not None
    assert ["browsers" in warning.what for warning in found.warnings] == [True]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (CA.crt.decode().encode("utf-16"), "UTF-16"),
        (b"# nothing\n", "holds no certificate"),
        (CA.crt[:99], "nothing ends"),
    ],
    ids=["empty", "UTF-16", "a comment", "cut"],
)
def test_a_ca_crt_of_which_nothing_can_be_made_is_told(paths: Paths, data: bytes, said: str) -> None:
    pair = Leaf(names=(NAME,)).pair()
    paths.crt.write_bytes(pair.crt + CA.crt)
    paths.key.write_bytes(pair.key)
    paths.ca_crt.write_bytes(data)
    found = certificate.read(Snapshot(paths), NOW, None, (NAME,))
    assert found.part is not None
    (warning,) = found.warnings
    assert warning.where.startswith(str(paths.ca_crt)) and said in warning.what and warning.hint


def test_what_openssl_does_not_read_is_told_with_its_line(paths: Paths) -> None:
    pair = Leaf().pair()
    paths.key.write_bytes(pair.key)
    paths.crt.write_bytes(pair.crt.rstrip(b"\n") + CA.crt)
    try:
        found = certificate.read(Snapshot(paths), NOW, None)
    except BadInput as error:
        found = Reading(None, error.problems)
    assert found.problems[0].where == f"{paths.crt}:1" and "newline" in found.problems[0].what
