"""Which proxy is gone through: as Go decides it."""

from __future__ import annotations

import pytest

from secreg_host.base.proxies import Proxies

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("none", "direct", "through"),
    [
        ("", ["localhost", "127.0.0.1", "127.9.9.9", "::1"], ["reg.test", "192.0.2.1", "2001:db8::1", "host"]),
        ("*", ["reg.test", "192.0.2.1"], []),
        ("other, reg.test ,", ["reg.test", "a.reg.test", "REG.test", "reg.test.", "other"], ["areg.test", "test"]),
        (".reg.test", ["a.reg.test"], ["reg.test"]),
        ("*.reg.test", ["a.reg.test"], ["reg.test", "areg.test"]),
        ("reg.test:443,a.test:444", ["reg.test"], ["a.test"]),
        ("192.0.2.0/24", ["192.0.2.1"], ["192.0.3.1", "reg.test"]),
        ("192.0.2.77/24", ["192.0.2.1"], ["192.0.3.1"]),
        ("192.0.2.1,2001:db8::1", ["192.0.2.1", "2001:db8::1", "2001:db8:0::1"], ["192.0.2.11", "2001:db8::2"]),
        ("192.0.2.1:443,[2001:db8::1]:443", ["192.0.2.1", "2001:db8::1"], ["192.0.2.2"]),
        ("192.0.2.1:444", [], ["192.0.2.1"]),
        ("nonsense/24,/,:,.", [], ["reg.test", "192.0.2.1"]),
    ],
)
def test_what_is_reached_without_a_proxy(none: str, direct: list[str], through: list[str]) -> None:
    proxies = Proxies(PROXY, none)
    assert [host for host in direct if proxies.towards(host, 443)] == []
    assert [host for host in through if not proxies.towards(host, 443)] == []
    assert not Proxies("", none).towards("reg.test", 443)


def test_proxies_of_an_environment() -> None:
    given = {"https_proxy": "small", "NO_PROXY": "a", "no_proxy": "b", "CONTAINERD_HTTPS_PROXY": "own"}
    assert Proxies.of(given) == Proxies("small", "a")
    assert Proxies.of({**given, "HTTPS_PROXY": "large"}) == Proxies("large", "a")
    assert Proxies.of(given, "CONTAINERD_") == Proxies("own", "a")
    assert Proxies.of({"HTTPS_PROXY": "", "https_proxy": "x"}).https == "x"
    assert Proxies.of({"HTTP_PROXY": "x"}) == Proxies()
