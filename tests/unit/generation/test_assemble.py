"""What is rendered around the parts: the names of repositories that the front answers for."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.base.process import Account
from secreg_host.generation import assemble, njs
from secreg_host.host import authcache
from secreg_host.host.host import Host
from secreg_host.wanted.parts.access import AccessPart
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from secreg_host.wanted.variants import Variant
from tests import made
from tests.world import World

COMPONENT = "[a-z0-9]+(?:(?:[._]|__|[-]*)[a-z0-9]+)*"
DISTRIBUTIONS = re.compile(f"{COMPONENT}(?:/{COMPONENT})*")
"""reference/regexp.go: a name without a host before it."""


@given(st.text("a0._-/", max_size=12))
def test_a_name_is_what_distribution_takes_for_one(name: str) -> None:
    assert bool(re.fullmatch(assemble.NAME, name)) == bool(DISTRIBUTIONS.fullmatch(name))


@given(st.text("ab/-_", max_size=8), st.sampled_from(["blobs/sha256:0", "manifests/latest"]))
def test_what_follows_a_name_is_found(name: str, rest: str) -> None:
    """Also where a component of the name is called as what follows."""
    for text in (name, f"{name}/blobs", f"{name}/manifests", f"blobs/{name}"):
        wanted = DISTRIBUTIONS.fullmatch(text)
        assert bool(re.fullmatch(f"{assemble.NAME}/{rest}", f"{text}/{rest}")) == bool(wanted)


@pytest.mark.parametrize(("own", "sent"), [(False, '""'), (True, "$secreg_passed_on")])
def test_what_the_registry_is_told_of_who_asks(world: World, own: bool, sent: str) -> None:
    """A password is the front's alone, unless the registry asks for one of its own; what leads past the check is
    nobody's."""
    one = assemble.assemble(world.host, made.parts(made.registry(auth=own)), "a")
    bits = world.host.paths.front_secret.read_text().strip()
    conf = one.rendered["front/secure-registry/registry.conf"].decode()
    (place,) = re.findall(rf"location @secreg_{bits}_registry {{(.*?)\n}}", conf, re.DOTALL)
    told = dict(re.findall(r"proxy_set_header (\S+) (.*?);", place))
    assert (told["Authorization"], told[f"X-Secreg-{bits}"], told["X-Secreg-Probe"]) == (sent, '""', '""')
    assert f"if ($secreg_{bits}_passed != {bits}) {{\n        return 401;" in place


@pytest.mark.promise("probe")
def test_a_probe_is_known_by_a_word_that_gives_nothing_away(world: World) -> None:
    """The same for each generation of a host, another one for each host; of a version without it there is none."""
    one, two = (assemble.assemble(world.host, made.parts(made.registry(auth=own)), "a") for own in (False, True))
    word, bits = assemble.probe_word(one), world.host.paths.front_secret.read_text().strip()
    assert re.fullmatch("[0-9a-f]{32}", word) and word == assemble.probe_word(two)
    assert bits not in word and f"\n    {word} 1;" in one.rendered["front/secure-registry/http.conf"].decode()
    assert [path for path in one.files if word.encode() in one.files[path]] == [
        "front/secure-registry/http.conf",
        "probe",
    ]
    world.host.paths.front_secret.unlink()
    assert assemble.probe_word(assemble.assemble(world.host, made.parts(made.registry()), "a")) != word
    assert assemble.probe_word(replace(one, rendered={})) == ""


def front(host: Host, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is rendered around an nginx.conf on `host`, whose nginx has the JavaScript module."""
    monkeypatch.setattr(njs, "module", lambda *_: njs.Module(Path("/module.so"), ""))
    nginx = NginxPart(files={"front/nginx.conf": b"include secure-registry/main.conf;"}, variants=(Variant(),))
    parts = Parts(made.settings(), made.certificate(), RegistryPart(root="/srv/images"), nginx, AccessPart())
    files = assemble.assemble(host, parts, "a").files
    return {name.rpartition("/")[2]: data.decode() for name, data in files.items() if name.startswith("front/")}


@pytest.mark.promise("foreground-as-root")
@pytest.mark.parametrize(
    ("by_systemd", "walls", "looks"), [(True, True, False), (False, True, True), (False, False, False)]
)
def test_without_views_nginx_looks_for_links_itself(
    host: Host, monkeypatch: pytest.MonkeyPatch, by_systemd: bool, walls: bool, looks: bool
) -> None:
    """Where the registry's user is another one than nginx's: a link of his could lead to what only nginx reads."""
    other = Account("another", 1, 1) if walls else host.accounts.front
    host = replace(host, by_systemd=by_systemd, accounts=replace(host.accounts, registry=other))
    found = front(host, monkeypatch)
    sends = [
        one
        for one in found["registry.conf"].split("\nlocation ")
        if re.search(r"\n    alias (.*docker/reg|\$secreg_blob;)", one)
    ]
    assert len(sends) == 2
    assert ["disable_symlinks on from=" in one for one in sends] == [looks, looks]
    assert ("manifest.js" in found) is not looks, "it follows links"


@pytest.mark.promise("remembered-passwords")
def test_a_right_password_is_remembered_for_a_minute(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is fresh; and while it is checked again, as long as the last request with it is no older."""
    monkeypatch.setattr(authcache, "place", lambda _: Path("/run/x"))
    found = front(host, monkeypatch)
    (fresh,) = re.findall(r"\n    proxy_cache_valid 204 (\d+)s;", found["registry.conf"])
    (idle,) = re.findall(r"\nproxy_cache_path /run/x .*\binactive=(\d+)s ", found["http.conf"])
    assert int(fresh) + int(idle) == 60


@pytest.mark.promise("half-open")
@pytest.mark.parametrize(("own", "lines"), [(False, ["client_header_timeout 10s;"]), (True, [])])
def test_a_header_may_take_ten_seconds_unless_nginx_conf_says_it(host: Host, own: bool, lines: list[str]) -> None:
    one = assemble.assemble(host, made.parts(made.nginx(patience=own)), "a")
    conf = one.rendered["front/secure-registry/http.conf"].decode()
    assert re.findall(r"(?m)^client_header_timeout [^;]*;", conf) == lines
