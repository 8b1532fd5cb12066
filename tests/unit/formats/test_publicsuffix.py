"""Which domains are nobody's own, by the list and without it."""

from __future__ import annotations

import pytest

from secreg_host.formats import publicsuffix

LIST = """\
// ===BEGIN ICANN DOMAINS===
com
uk
co.uk   a remark
*.ck
!www.ck
jp
*.kawasaki.jp
!city.kawasaki.jp
香港
公司.香港
// ===BEGIN PRIVATE DOMAINS=== example.org
github.io
\udcff
""".encode(errors="surrogateescape")


@pytest.mark.parametrize(
    "domain",
    [
        "com",
        "lan",
        "co.uk",
        "CO.UK",
        "github.io",
        "shop.ck",
        "kawasaki.jp",
        "x.kawasaki.jp",
        "xn--55qx5d.xn--j6w193g",
    ],
)
def test_what_is_nobodys_own(domain: str) -> None:
    assert publicsuffix.covers(domain, LIST)


@pytest.mark.parametrize(
    "domain",
    ["example.org", "example.co.uk", "me.github.io", "www.ck", "city.kawasaki.jp", "corp.lan", "a.xn--j6w193g"],
)
def test_what_is_somebodys(domain: str) -> None:
    assert not publicsuffix.covers(domain, LIST)


@pytest.mark.parametrize(
    ("domain", "covered"), [("co.uk", True), ("com.au", True), ("example.uk", False), ("co.lan", False)]
)
def test_without_a_list(domain: str, covered: bool) -> None:
    assert publicsuffix.covers(domain, b"") == covered
