"""What is rendered around the parts: the names of repositories that the front answers for."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from secreg_host.generation import assemble

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
