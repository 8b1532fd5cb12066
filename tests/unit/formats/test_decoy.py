"""Users whom nobody can be: like the others in cost, and no password is known for one."""

from __future__ import annotations

import random

import pytest

from secreg_host.formats import decoy, robots, users
from secreg_host.formats.users import Scheme


@pytest.mark.promise("names-take-the-same-time")
@pytest.mark.parametrize("scheme", Scheme)
def test_a_hash_of_the_same_cost(scheme: Scheme) -> None:
    value = users.make_hash("secret", scheme, 4 if scheme is Scheme.BCRYPT else 1000)
    made = decoy.like(value.encode()).decode()
    assert made != value and users.scheme_of(made) == users.scheme_of(value) and len(made) == len(value)
    assert made[: len(value) - decoy.RANDOM - 1] == value[: len(value) - decoy.RANDOM - 1], "cost and salt"
    assert not users.verify("secret", made)


@pytest.mark.promise("names-take-the-same-time")
@pytest.mark.parametrize(("count", "decoys"), [(0, 0), (1, 1), (64, 64), (65, 64), (1000, 64)])
def test_some_stand_for_all(count: int, decoys: int) -> None:
    made = decoy.among(b"".join(b"user%d:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n" % number for number in range(count)))
    names = [line.partition(b":")[0] for line in made.splitlines()]
    assert len({name for name in names if decoy.is_one(name)}) == decoys and len(names) == decoys + count


@pytest.mark.parametrize("name", [f"{users.DECOY}-0", users.DECOY.upper()])
def test_nobody_else_is_called_so(name: str) -> None:
    found, problems = users.parse(f"{name}:{users.make_hash('x', Scheme.SHA)}\n".encode(), "there")
    assert found == () and "secure-registry itself" in problems[0].what and "another name" in problems[0].hint


@pytest.mark.promise("names-take-the-same-time")
@pytest.mark.parametrize("place", [0, 1, 50, 99])
def test_each_cost_is_some_decoys(place: int) -> None:
    """Else what takes as long as that one user's hash is that user's name."""
    hashes = ["{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="] * 100
    hashes[place] = f"$2y$04${'z' * 53}"  # which is the last one by lot
    made = decoy.among("".join(f"user{number}:{value}\n" for number, value in enumerate(hashes)).encode()).decode()
    ours = [line for line in made.splitlines() if decoy.is_one(line.encode())]
    assert "bcrypt" in {users.scheme_of(line.partition(":")[2]) for line in ours}


@pytest.mark.promise("names-take-the-same-time")
@pytest.mark.parametrize("count", [64, 65, 128, 129, 500])
@pytest.mark.parametrize("goes", [0, 20, 63])
def test_who_comes_or_goes_changes_one_other_decoy_at_the_most(count: int, goes: int) -> None:
    """Else the time of a name that nobody has changes with the users, and that of one that somebody has does not."""

    def stands(lines: list[str]) -> set[bytes]:
        made = decoy.among("".join(lines).encode()).splitlines()
        found = [line.split(b":") for line in made]
        return {decoy.lasting(value) for name, value in found if decoy.is_one(name)}

    lots = random.Random(1)
    lines = [f"user{number}:$1$s{number:07}${lots.randrange(10**22):022}\n" for number in range(count)]
    assert len(stands(lines) ^ stands(lines[:goes] + lines[goes + 1 :])) <= 2


SETTINGS = {
    "$6$rounds=1000$": "$6$rounds=2000$",
    "$2y$04$": "$2y$05$",
    "$y$j9T$": "$y$jDT$",
    "$7$CU..../....": "$7$DU..../....",
    "$sha1$248$": "$sha1$249$",
    "$md5,rounds=10$": "$md5,rounds=11$",
    "$md5$": "$md5,rounds=1$",
    "_J9..": "_K9..",
}


@pytest.mark.parametrize(("one", "other"), SETTINGS.items())
def test_what_a_hash_costs_is_its_kind(one: str, other: str) -> None:
    kinds = {decoy._kind(f"{setting}{salt}".encode()) for setting in (one, other) for salt in ("aaaa$", "bbbb$")}
    assert len(kinds) == 2 and b"" not in kinds


@pytest.mark.promise("names-take-the-same-time")
def test_robots_and_users_have_decoys_of_their_own() -> None:
    """Else, where there are many robots, each name that takes its time is a user's."""
    fast = [f"robot-r{number}:{robots.hash_of('x')}\n" for number in range(1000)]
    made = decoy.among("".join([*fast, f"alice:$6$salt${'A' * 86}\n"]).encode()).splitlines()
    ours = [line for line in made if decoy.is_one(line)]
    slow = [line for line in ours if b"$6$" in line]
    assert len(slow) == 1 and not slow[0].startswith(decoy.ROBOT)
    assert len(ours) == 1 + decoy.MOST and sum(line.startswith(decoy.ROBOT) for line in ours) == decoy.MOST
