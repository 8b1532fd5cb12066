"""The commands that are cut, and what must be found then: old or new, never neither.

Each state is judged as it is (`whole`), which takes no disk, and some once the program started again on it
(`recovered`), as it does with the next boot.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from secreg_host.base.paths import Paths
from secreg_host.formats import robots as robot_formats
from secreg_host.formats import users
from secreg_host.formats.robots import Robot
from secreg_host.generation import generations
from tests.power import cuts, steps
from tests.power.cuts import Entry, Tree
from tests.real.program import CHECKOUT

MEMORY = ("run",)
"""What is gone with the power: a tmpfs (file-hierarchy(7))."""

ETC, LIB = "etc/secure-registry", "var/lib/secure-registry"
CONF = "SERVER_NAME=registry.example.org\nSERVER_IP=192.0.2.7\nKEY_TYPE=P-256\nOPT=-5 -r 1000\n"
KEY = b"PRIVATE KEY"
PASSING = re.compile(r"\.new$|/\.stage-|/pending/|/\.pending\.new/|/generations/")
"""What nobody reads yet, or any more; generations are looked at by the links to them."""

BOB = b"bob:$6$salt$" + b"A" * 86 + b"\n"


ROBOTS = [Robot(name, f"{{SSHA}}{'A' * 48}", 1_796_000_000, None, rights=(("read", "a/**"),)) for name in "abc"]

SECRETS = (".htpasswd", ".password", "robots", "secret")

Groups = Mapping[str, Mapping[str, Entry]]


@dataclass(frozen=True)
class Scene:
    """A command that is cut.

    before: what happens first, all of which is on disk then; argv: of the command, below a root; typed: into it;
    anew: what is made is another one in each run.
    """

    name: str
    before: Callable[[Path], None]
    argv: Callable[[Path], Sequence[str]]
    typed: str = ""
    anew: bool = False


def program(*words: str) -> Callable[[Path], Sequence[str]]:
    """A command of the program's."""
    return lambda root: (sys.executable, "-B", "-m", "tests.accounts", words[0], "--root", str(root), *words[1:])


def step(*words: str) -> Callable[[Path], Sequence[str]]:
    """A step (`steps`)."""
    return lambda root: (sys.executable, "-B", "-m", "tests.power.steps", str(root), *words)


def environment() -> dict[str, str]:
    """Of such commands."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(CHECKOUT)}


def empty(root: Path) -> None:
    """A host of its own names, on which nothing was set up, but whose clients are there."""
    etc = root / ETC
    etc.mkdir(parents=True)
    (etc / "secure-registry.conf").write_text(CONF)
    (etc / "secure-registry.conf").chmod(0o640)


def served(root: Path) -> None:
    """A host that serves."""
    empty(root)
    for name in ("docker", "containers", "containerd"):
        (root / "etc" / name).mkdir()
    (root / "usr/local/share/ca-certificates").mkdir(parents=True)
    with steps.world(root, synced=False) as world:
        steps.start(world)


def edited(root: Path) -> None:
    """The same, where all was edited since: its owner saved nginx.conf, docker-registry.yml, users, and a new pair."""
    served(root)
    from datetime import UTC, datetime

    from secreg_host.base.snapshot import Snapshot
    from secreg_host.wanted import authority, defaults
    from secreg_host.wanted.settings import Settings

    paths = Paths(root)
    disk = Snapshot(paths)
    authority.issue(disk, Settings(key_type="P-256"), defaults.now(), datetime.now(UTC), authority.Order(force=True))
    for path in (paths.nginx_conf, paths.registry_yml):
        path.write_bytes(path.read_bytes() + b"\n# edited\n")
    paths.htpasswd.write_bytes(paths.htpasswd.read_bytes() + BOB)


def bob(root: Path) -> None:
    """A host that serves, with a second user."""
    served(root)
    with steps.world(root, synced=False) as world:
        htpasswd = world.host.paths.htpasswd
        htpasswd.write_bytes(htpasswd.read_bytes() + BOB)
        steps.start(world)


def robots(root: Path) -> None:
    """A host that serves, with three robots."""
    served(root)
    Paths(root).robots.write_bytes(b"".join(robot_formats.render(robot) + b"\n" for robot in ROBOTS))
    Paths(root).robots.chmod(0o640)
    with steps.world(root, synced=False) as world:
        steps.start(world)


def secretly(root: Path) -> Sequence[str]:
    """Makes a robot whose secret goes into a file."""
    return program("token", "create", "ci", "--output", f"{root}/secret")(root)


def crowd(root: Path) -> None:
    """The same, and the file is of many blocks, where each line is another one."""
    bob(root)
    htpasswd = Paths(root).htpasswd
    others = (b"user%04d:$6$salt$%04d" % (number, number) + b"A" * 82 + b"\n" for number in range(100))
    htpasswd.write_bytes(htpasswd.read_bytes() + b"".join(others))
    with steps.world(root, synced=False) as world:
        steps.start(world)


def changed(root: Path) -> None:
    """A host that serves, whose first user has another password than the one that was made up, since just now."""
    served(root)
    htpasswd = Paths(root).htpasswd
    htpasswd.write_bytes(b"docker:" + users.make_hash("another", cost=1000).encode() + b"\n")


def trusting(*names: str) -> Callable[[Path], None]:
    """A host that serves, whose clients `names` trust it."""

    def before(root: Path) -> None:
        served(root)
        with steps.world(root, synced=False) as world:
            steps.start(world)
            steps.install(world, *names)

    return before


def insecure(root: Path) -> None:
    """A host whose dockerd, with a daemon.json of others, is to reach the registry without TLS's checks."""
    empty(root)
    (root / "etc/docker").mkdir()
    (root / "etc/docker/daemon.json").write_text('{"debug": true}\n')
    with steps.world(root, synced=False) as world:
        steps.start(world)
    with (root / ETC / "secure-registry.conf").open("a") as conf:
        conf.write("DOCKER_TRUST=insecure\n")


CLIENTS = ("podman", "containerd", "system")
SCENES = (
    Scene("setup", empty, step("start"), anew=True),
    Scene("apply", edited, step("start")),
    Scene("apply that removes .password", changed, step("start")),
    Scene("gencert", served, program("gencert")),
    Scene("gencert --new-ca", served, program("gencert", "--new-ca")),
    Scene("htpasswd", served, program("htpasswd", "-i", "alice"), "secret\n"),
    Scene("htpasswd -D", bob, program("htpasswd", "-D", "bob")),
    Scene("htpasswd -D in place", crowd, step("leave", "bob")),
    Scene("token create", served, program("token", "create", "ci", "--read", "a/**", "--output", "-"), anew=True),
    Scene("token create --output", served, secretly, anew=True),
    Scene("token revoke", robots, program("token", "revoke", "b")),
    Scene("trust install", served, step("install", *CLIENTS)),
    Scene("trust remove", trusting(*CLIENTS), step("remove")),
    Scene("daemon.json", insecure, step("start")),
)


def lasting(found: Tree) -> Tree:
    """What of `found` must be as it is once a command is done: not room that is kept, nor generations of before, nor
    the link of a registry that ended."""
    current = found.get(f"{LIB}/current", ("link", b"", 0))[1].decode()
    kept = {}
    for path, entry in found.items():
        old = path.startswith(f"{LIB}/generations/") and not path.startswith(f"{LIB}/{current}/")
        unused = path.startswith(f"{LIB}/slots/") and f"{LIB}/{current}/registry/slot-{path[-1]}" not in found
        if not old and not unused and not path.startswith(f"{LIB}/state/reserve"):
            kept[path] = entry
    return kept


def whole(found: Tree, before: Tree, after: Tree) -> list[str]:
    """What is neither as it was nor as it is to be in a state that a cut left."""
    wrong = [f"{path}: is gone" for path in before if path in after and path not in found and not _is_lib(path)]
    for path, entry in found.items():
        kind, data, mode = entry
        if (
            kind == "file"
            and (KEY in data or path.endswith((".htpasswd", ".password", "/robots", "/secret")))
            and mode & 0o007
        ):
            wrong.append(f"{path}: everybody may read it ({mode:o})")
        if kind == "folder" or PASSING.search(path):
            continue
        if path.startswith(f"{LIB}/state/") and path.endswith(".json"):
            wrong += [] if _is_json(data) else [f"{path}: {data[:40]!r}"]
        elif ".bak-" in path:
            name = path.partition(".bak-")[0]
            kept = found.get(name) == before[name] or data == before[name][1]
            wrong += [] if kept else [f"{path}: is not what {name} was"]
        elif not _is_lib(path) and entry not in (before.get(path), after.get(path)):
            wrong.append(f"{path}: {entry} is neither {before.get(path)} nor {after.get(path)}")
    if b"ci:" in found.get(f"{ETC}/robots", ("", b"", 0))[1] and found.get("secret") != after.get("secret"):
        wrong.append("secret: there is a robot, and not what it logs in with")
    return wrong + [
        said for link in ("current", "proven") for said in _generation(f"{LIB}/{link}", found, before, after)
    ]


def _generation(link: str, found: Tree, before: Tree, after: Tree) -> list[str]:
    """What is wrong with the generation to which `link` leads."""
    if link not in found:
        return [f"{link}: is gone"] if link in before else []
    below = f"{LIB}/{found[link][1].decode()}/"
    there, old, new = (
        {path: one for path, one in tree.items() if path.startswith(below)} for tree in (found, before, after)
    )
    if there and there in (old, new):
        return []
    return [f"{link}: of its generation these are missing, or others: {cuts.unlike(there, new or old)}"]


def _is_lib(path: str) -> bool:
    return path.startswith(LIB)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def recovered(root: Path, known: Sequence[Groups], *, anew: bool) -> list[str]:
    """What is wrong once the program started again on what a cut left below `root`, and once more. known: what is there
    (`groups`) when nothing was cut, before and after."""
    with steps.world(root, synced=False) as world:
        wrong = [f"found: {finding}" for finding in steps.start(world).findings]
        if len(set(world.names)) != 1 or generations.load(world.host, world.names[0]) is None:
            wrong.append(f"serves: {world.names}")
        if steps.start(world).changed:
            wrong.append("a second start changes something")
        kept = world.host.paths.generations.iterdir()
        wrong += [f"half there: {path}" for path in kept if generations.load(world.host, path.name) is None]
        wrong += _password(world.host.paths)
    for group, there in groups(cuts.read(root, MEMORY), anew=anew).items():
        if all(there != one.get(group) for one in known):
            others = [sorted(there.items() ^ one.get(group, {}).items()) for one in known]
            wrong.append(f"in {group} is neither what was nor what was to be: {others}")
    return wrong


def _password(paths: Paths) -> list[str]:
    """That .password, which was made up, is not what its user logs in with."""
    if not paths.password.exists():
        return []
    (user,) = [one for one in users.parse(paths.htpasswd.read_bytes(), "")[0] if one.name == "docker"]
    said = "is not that of the user"
    return [] if users.verify(paths.password.read_text().strip(), user.hash) else [f"{paths.password} {said}"]


def groups(found: Tree, *, anew: bool) -> Groups:
    """What of `found` is the same in each run, by what is old or new for itself: each client's, ours. What the program
    keeps for itself has times in it: only that it is there."""
    grouped: dict[str, dict[str, Entry]] = {}
    for path, entry in found.items():
        if not re.search(r"/generations/|/storage/|\.bak-", path):
            same = ("", b"", 0) if anew or _is_lib(path) else entry
            grouped.setdefault("/".join(path.split("/")[:2]), {})[path] = same
    return grouped


def started(root: Path, found: Tree, *, anew: bool) -> Groups:
    """The `groups` when the program started on `found`, which is whole."""
    cuts.write(found, root)
    with steps.world(root, synced=False) as world:
        steps.start(world)
    return groups(cuts.read(root, MEMORY), anew=anew)


def untrusted(root: Path) -> Tree:
    """What is in the files of clients once `trust remove` took out all that is ours."""
    with steps.world(root, synced=False) as world:
        steps.remove(world)
    clients = ("etc/docker", "etc/containers", "etc/containerd", "usr")
    return {path: entry for path, entry in cuts.read(root, MEMORY).items() if path.startswith(clients)}
