"""Which way leads from a certificate to what clients trust. (By clients: tests/real/test_clientrules.py.)"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from secreg_host.pki import certs, chains, ours
from secreg_host.pki.certs import KeyPair
from secreg_host.pki.chains import Cert
from tests.unit.pki.test_clientrules import CA, NAME, NOW, Leaf

ABROAD = certs.make_ca([NAME], [], NOW, "Void", "abroad")


def ca(common: str, by: KeyPair, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    return Leaf(common=common, names=(), is_ca=True, usage=("keyCertSign",), by=by, key=key).pair()


def one(pair: KeyPair) -> Cert:
    return chains.read(pair.crt, "")[0]


@pytest.mark.promise("highest-ca")
def test_a_root_is_preferred_to_a_longer_way() -> None:
    """An issuing CA that is signed by two: clients that want a root get one."""
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    middle = ca("middle", ABROAD, first)
    issuing, crossed = ca("issuing", CA, second), ca("issuing", middle, second)
    leaf = Leaf(by=issuing).pair()
    sent = [one(pair) for pair in (leaf, crossed, middle, issuing)]
    way = chains.path(sent, [one(middle), one(CA)])
    assert way.anchor == one(CA) and way.sent == (one(leaf), one(issuing))
    assert ours.anchor(sent, [one(middle)]) == one(middle)
    assert ours.anchor(sent, []) is None


def test_a_crowd_of_the_same_name_is_soon_looked_through() -> None:
    """Each of them signed all others."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuing = ca("issuing", CA, key)
    crowd = [ca("issuing", issuing, key) for _ in range(40)]
    way = chains.path([one(Leaf(by=issuing).pair()), *map(one, crowd)], [])
    assert way.anchor is None and len(way.sent) <= chains.SENT
