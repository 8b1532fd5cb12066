"""The maps of access.yml as they stand in the front: each variable is made, once, and each nginx has room for it."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from secreg_host.generation import assemble
from secreg_host.wanted.parts import access
from secreg_host.wanted.parts.access import AccessPart
from tests import made
from tests.world import World

LONGEST = 46
"""Characters of a variable's name for which there is room in each hash (ngx_hash_init, variables_hash_bucket_size)."""

RULE = b'{"users": [Bob, x], "actions": [read]}'
TEXT = b'{"repositories": {"a/**": {"anonymousPolicy": [%b], "policies": [' + RULE + b']}, "*/b": {}}}'


def front(world: World, *others: AccessPart) -> dict[str, str]:
    files = assemble.assemble(world.host, made.parts(made.registry(root="/srv/images", more=""), *others), "a").files
    return {name.rpartition("/")[2]: data.decode() for name, data in files.items() if name.startswith("front/secure")}


@pytest.mark.parametrize("guests", [b"", b"read"])
def test_each_variable_is_made_once(world: World, guests: bytes) -> None:
    files = front(world, AccessPart(files={access.YML: TEXT % guests}, sources=("access.yml",)))
    text = re.sub(r"^\s*#.*$", "", "\n".join(files.values()), flags=re.MULTILINE)
    maps = re.findall(r"^(?:map|geo) .*\$(\w+) \{$", text, re.MULTILINE)
    maps += re.findall(r"^split_clients .*\$(\w+) \{$", text, re.MULTILINE)
    known = {*maps, *re.findall(r"\(\?<(\w+)>", text), *re.findall(r"auth_request_set \$(\w+)", text)}
    used = set(re.findall(r"\$\{?(secreg_\w+)", text))
    assert used - known == set() and max(map(len, known)) <= LONGEST
    assert [name for name, times in Counter(maps).items() if times > 1 and not name.startswith("secreg_geo")] == []


@pytest.mark.promise("guests")
def test_only_where_whoever_asks_may_read_something_a_token_is_asked_for(world: World) -> None:
    for others, guests in (
        ((), False),
        ((AccessPart(files={access.YML: TEXT % b""}, sources=("access.yml",)),), False),
        ((AccessPart(files={access.YML: TEXT % b"read"}, sources=("access.yml",)),), True),
    ):
        conf = front(world, *others)["registry.conf"]
        assert ("Bearer realm=" in conf, "location = /v2/_token" in conf) == (guests, guests)
        assert ('WWW-Authenticate \'Basic realm="Registry"' in conf) != guests


@pytest.mark.promise("access-as-shipped")
def test_without_a_file_the_front_is_as_it_was(world: World) -> None:
    files = front(world)
    assert "access.conf" not in files
    assert "_gives" not in files["registry.conf"] and 'X-Secreg-Rights "";' in files["registry.conf"]


@pytest.mark.promise("access")
def test_each_location_that_answers_asks_what_the_maps_say(world: World) -> None:
    """However a request got there."""
    conf = front(world, AccessPart(files={access.YML: TEXT % b"read"}, sources=("access.yml",)))["registry.conf"]
    bits = world.host.paths.front_secret.read_text().strip()
    places = re.findall(r"^location ([^{]*) \{\n(.*?)^\}", conf, re.DOTALL | re.MULTILINE)
    answering = [(place, body) for place, body in places if f"_{bits}_registry" in body or f"_{bits}_manifests" in body]
    assert len(answering) >= 5
    for place, body in answering:
        if "try_files" not in body:
            assert f"if ($secreg_{bits}_passed != {bits})" in body, place
            assert f"if ($secreg_{bits}_gives != 1)" in body, place
