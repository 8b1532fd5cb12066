"""What is rendered around the parts: the names of repositories that the front answers for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.generation import assemble
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
    assert (told["Authorization"], told[f"X-Secreg-{bits}"]) == (sent, '""')
    assert f"if ($secreg_{bits}_passed != {bits}) {{\n        return 401;" in place
