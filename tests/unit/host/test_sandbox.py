"""Who sees the host as PID 1 does, by what /proc says of both."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.host import sandbox

FIRST = {"mnt": "mnt:[1]", "net": "net:[2]", "CapEff": "000001ffffffffff", "Seccomp": "0"}


def process(place: Path, facts: dict[str, str]) -> None:
    (place / "ns").mkdir(parents=True)
    for name in sandbox.NAMESPACES:
        (place / "ns" / name).symlink_to(facts[name])
    kept = ("CapEff", "Seccomp")
    (place / "status").write_text("Name:\tx\n" + "".join(f"{name}:\t{facts[name]}\n" for name in kept if facts[name]))


@pytest.mark.promise("sandboxes-are-told")
@pytest.mark.parametrize(
    ("mine", "inside"),
    [
        ({}, False),
        ({"net": "net:[3]"}, True),  # PrivateNetwork=
        ({"mnt": "mnt:[3]"}, True),  # ProtectSystem=
        ({"CapEff": "0000000000000000"}, True),  # CapabilityBoundingSet=
        ({"Seccomp": "2"}, True),  # SystemCallFilter=
        ({"Seccomp": ""}, True),  # who knows
    ],
)
def test_who_is_in_a_sandbox(tmp_path: Path, mine: dict[str, str], inside: bool) -> None:
    process(tmp_path / "1", FIRST)
    process(tmp_path / "self", FIRST | mine)
    assert sandbox.inside(tmp_path) is inside


def test_a_container_is_no_sandbox_beside_its_own_first_process(tmp_path: Path) -> None:
    process(tmp_path / "1", FIRST | {"CapEff": "00000000a80425fb", "Seccomp": "2"})
    process(tmp_path / "self", FIRST)
    assert not sandbox.inside(tmp_path)


def test_who_may_not_look_is_in_one(tmp_path: Path) -> None:
    assert sandbox.inside(tmp_path)
