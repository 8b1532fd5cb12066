"""Host names and addresses: what clients can be told to go to."""

from __future__ import annotations

import ipaddress
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.base import names
from secreg_host.clients import served
from secreg_host.clients.served import Endpoint

LABELS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=63).filter(
    lambda text: not text.startswith("-") and not text.endswith("-")
)


@pytest.mark.parametrize(
    "name", ["a", "registry.example.org", "xn--bcher-kva.example", "build_1.example", "1.example", "3com", "a" * 63]
)
def test_host_names(name: str) -> None:
    assert names.is_host_name(name) and names.is_endpoint(name)
    assert names.is_host_name(f"*.{name}", wildcard=True) and not names.is_host_name(f"*.{name}")


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a" * 64, "a b", "a\n", "a/b", "../../cron.d/evil", "a:1",
        "x'$(touch${IFS}/run/pwned)'.example", "a;b", "a%b", "bücher.example", "\uff11.example", "192.168.1", "1",
        "0x7f000001", "a.0x1", "*.*.a", "**.a", ".".join(["a" * 49] * 6),
    ],
)  # fmt: skip
def test_no_host_names(name: str) -> None:
    assert not names.is_host_name(name) and not names.is_host_name(f"*.{name}", wildcard=True)
    assert names.address(name) is None and names.usable([name]) == ()
    with pytest.raises(ValueError):
        Endpoint(name, 443)


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "[::1]", "1.2.3.4/8", "1.2.3", "01.2.3.4", "\u0661.2.3.4", " ::1", "1.2.3.4\n"]
)
def test_no_addresses(text: str) -> None:
    assert names.address(text) is None and not names.is_endpoint(text)


@given(st.one_of(st.ip_addresses()))
def test_addresses(address: names.IPAddress) -> None:
    assert names.address(str(address)) == address
    assert names.is_endpoint(address.exploded) and not names.is_host_name(str(address))


@given(st.text())
def test_an_endpoint_is_a_word_for_everybody(text: str) -> None:
    """What passes holds no character that a shell, a path, nginx or systemd takes for anything else."""
    if names.is_endpoint(text):
        assert set(text) <= set(string.ascii_letters + string.digits + "-_.:") and not text.startswith((".", "-"))


@given(st.lists(LABELS, min_size=1, max_size=5).map(".".join))
def test_labels_with_dots_between_them(name: str) -> None:
    last = name.rpartition(".")[2]
    number = last.isdigit() or (last[:2].lower() == "0x" and set(last[2:]) <= set(string.hexdigits))
    assert names.is_host_name(name) == (len(name) <= 253 and not number)


@pytest.mark.parametrize(
    ("host", "written"),
    [("a.example", "a.example:443"), ("192.0.2.1", "192.0.2.1:443"), ("2001:db8::1", "[2001:db8::1]:443")],
)
def test_a_host_and_a_port_are_one_word(host: str, written: str) -> None:
    assert names.place(host, 443) == written
    assert names.bare(names.bracketed(host)) == names.bare(host) == host
    assert names.is_ipv6(host) == written.startswith("[")


@pytest.mark.parametrize("text", ["[", "]", "[]", "[::1", "::1]", ""])
def test_half_of_the_brackets_is_no_address(text: str) -> None:
    assert not names.is_address(names.bare(text))


@pytest.mark.parametrize("digits", ["0", "65536", "99999", "", "-1", "+1", "1_0", " 1", "\u0661", "1" * 5000])
def test_no_ports(digits: str) -> None:
    assert names.port(digits) is None


def test_ports() -> None:
    assert [names.port(digits) for digits in ("1", "00443", "65535")] == [1, 443, 65535]


@given(st.ip_addresses())
def test_an_address_as_it_is_sent(address: names.IPAddress) -> None:
    assert names.packed(address.packed) == address
    assert address in names.network(address) and names.network(address).num_addresses == 1


def test_networks() -> None:
    inside = names.address("10.1.2.3")
    assert inside in names.network("10.0.0.0/8") and inside not in names.network("fc00::/7")
    with pytest.raises(ValueError):
        names.network("registry.example")


def test_what_is_reached_by_an_address_alone() -> None:
    assert served._reaches("registry.example", "192.0.2.1") and served._reaches("192.0.2.1", "192.0.2.1")
    assert not served._reaches("::1", "192.0.2.1")
    assert isinstance(names.address("::1"), ipaddress.IPv6Address)
