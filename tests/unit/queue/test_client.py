"""A client, as the front tells the queue: an address, or a network of 64 bits of IPv6."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from secreg_host import queue

TEMPLATE = Path(queue.__file__).parents[2] / "templates/front/http.conf.j2"


def client(address: str) -> str:
    """What `map $secreg_address $secreg_client` makes of an address as nginx writes it."""
    found = re.search(r"map [$]secreg_address [$]secreg_client {(.*?)\n}", TEMPLATE.read_text(), re.DOTALL)
    assert found is not None
    for pattern, name in re.findall(r'"~([^"]+)" [$](\w+);', found[1]):
        if (told := re.search(pattern.replace("(?<secreg", "(?P<secreg"), address)) is not None:
            return str(told[name])
    return address


@pytest.mark.promise("fair-turns")
@pytest.mark.parametrize(
    "network", ["2001:db8:1:2::/64", "2001:db8:1::/64", "2001:db8::/64", "2001::/64", "2001:db8:0:1::/64", "fe80::/64"]
)
def test_a_network_of_64_bits_is_one_client(network: str) -> None:
    """Whatever zeros are left out of its addresses: else one host is as many clients as it likes."""
    ends = [1, 2, 0xABCD, 0x1_0000, 0x1_0000_0001, 0x1_0000_0000_0000, 0xF03C_91FF_FE12_3456, 0xA_000B_000C_000D]
    net = ipaddress.IPv6Network(network)
    assert len({client(str(net[end])) for end in ends}) == 1


@pytest.mark.promise("fair-turns")
def test_other_networks_and_addresses_are_others() -> None:
    told = ["2001:db8:1:2::1", "2001:db8:1:3::1", "2001:db8:2::1", "2001:db8::1", "2001::1", "192.0.2.1", "192.0.2.2"]
    assert len({client(one) for one in told}) == len(told)
