"""Users whom nobody can be: like the others in cost, and no password is known for one."""

from __future__ import annotations

import pytest

from secreg_host.formats import decoy, users
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
@pytest.mark.parametrize(("count", "decoys"), [(0, 0), (1, 1), (64, 64), (65, 33), (1000, 63)])
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
    hashes[place] = users.make_hash("x", Scheme.BCRYPT, 4)
    made = decoy.among("".join(f"user{number}:{value}\n" for number, value in enumerate(hashes)).encode()).decode()
    ours = [line for line in made.splitlines() if decoy.is_one(line.encode())]
    assert "bcrypt" in {users.scheme_of(line.partition(":")[2]) for line in ours}
