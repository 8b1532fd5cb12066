"""What is told of who may do what, and giving up access.yml."""

from __future__ import annotations

import pytest

from secreg_host.apply import apply
from secreg_host.command import asking, cli, instance, printing, rights
from secreg_host.host.host import Host
from secreg_host.images import targets
from secreg_host.wanted.access import parsing
from secreg_host.wanted.access.policy import Policy
from secreg_host.wanted.parts import access
from secreg_host.wanted.parts.access import AccessPart

TEXT = b"""\
adminPolicy: {users: [root], actions: [delete]}
repositories:
  "team-a/**":
    policies:
      - {users: [alice], actions: [read, create]}
    defaultPolicy: [read]
"""


def policy() -> Policy:
    found, _ = parsing.parse(TEXT, "access.yml")
    assert found is not None
    return found


def told(user: str | None, image: str) -> list[str]:
    return list(rights.explained(policy(), "access.yml", user, targets.parse(image)))


def test_it_is_told_which_line_decides() -> None:
    assert told("alice", "team-a/app:v1") == [
        "alice may read and create in team-a/app",
        "team-a/app:v1: may be pushed once, and then stays what it is (create without update)",
        "access.yml:3: 'team-a/**' decides, the longest pattern that is about it",
        "access.yml:5: read, create (user alice)",
        "access.yml:6: read (defaultPolicy: whoever is logged in)",
    ]
    assert told("root", "b") == [
        "root may delete in b",
        "access.yml: no pattern is about it",
        "access.yml:1: delete (adminPolicy)",
    ]
    assert told(None, "team-a/app")[0] == "whoever asks may do nothing in team-a/app"


def test_without_a_file_that_is_told() -> None:
    found = list(rights.explained(None, "access", "bob", targets.parse("a")))
    assert found == [
        "bob may read and create and update and delete in a",
        "read, create, update, delete (there is no access.yml: each user may do everything)",
    ]


class Running:
    """An instance that runs; it is told to reload."""

    def __init__(self, host: Host) -> None:
        self.host, self.reloads = host, 0

    def running(self) -> bool:
        return True

    def reload(self, doing: str) -> str:
        self.reloads += 1
        return doing


def test_it_is_given_up_by_who_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    running, paths = Running(host), host.paths
    monkeypatch.setattr(instance, "of", lambda _: running)
    monkeypatch.setattr(printing, "outcome", lambda _: None)
    monkeypatch.setattr(apply, "exit_code", lambda _: 0)
    monkeypatch.setattr(asking, "interactive", lambda: False)
    paths.etc.mkdir(parents=True, exist_ok=True)
    paths.access_yml.write_bytes(TEXT)
    root = str(paths.root)
    assert cli.main(["access", "off", "--root", root]) == 2
    assert paths.access_yml.exists() and running.reloads == 0, "nobody was there to ask"
    assert cli.main(["access", "off", "--yes", "--root", root]) == 0
    assert not paths.access_yml.exists() and running.reloads == 1
    assert paths.access_yml.with_name("access.yml.off").read_bytes() == TEXT
    part = AccessPart(files={access.YML: TEXT}, sources=("access.yml",))
    assert access.has_served(paths, part) is False
