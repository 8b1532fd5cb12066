"""daemon.json and the Docker daemon: what is written, what is refused, and that all of it comes back."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secreg_host.base import records
from secreg_host.base.errors import BadInput, Later, Note, Problem, SecregError
from secreg_host.base.paths import Paths
from secreg_host.clients import edits
from secreg_host.clients.docker import dockerd, dockerflags, dockerinfo
from secreg_host.clients.docker.daemonjson import KEY, DaemonJson
from secreg_host.clients.docker.docker import Docker, Record
from secreg_host.clients.docker.dockerd import Patience
from secreg_host.clients.docker.dockerflags import Flags, Target
from secreg_host.clients.docker.unit import Unit
from secreg_host.watchdog import retries

WANTED = ("reg.example.org:5000", "192.0.2.1:5000", "[2001:db8::1]:5000")
ONE = ("a:1",)
Made = TypeVar("Made")
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Case:
    """A daemon.json as others wrote it, and what becomes of it: the bytes with a:1, or a part of the refusal."""

    name: str
    data: bytes | None
    after: bytes | None = None
    refused: str = ""


CORPUS = (
    Case("no file", None, b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n'),
    Case("empty", b"", b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n'),
    Case("blank", b" \n\n", b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n'),
    Case("empty object", b"{}", b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}'),
    Case("empty object, newline", b"{}\n", b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n'),
    Case("empty object, two lines", b"{\n}\n", b'{\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n'),
    Case("empty list", b'{"insecure-registries": []}', b'{"insecure-registries": ["a:1"]}'),
    Case("null", b'{"insecure-registries": null}', b'{"insecure-registries": ["a:1"]}'),
    Case("compact", b'{"debug":true}', b'{"debug":true,"insecure-registries":["a:1"]}'),
    Case("one line", b'{"debug": true}\n', b'{"debug": true, "insecure-registries": ["a:1"]}\n'),
    Case(
        "two spaces",
        b'{\n  "debug": true,\n  "log-driver": "journald"\n}\n',
        b'{\n  "debug": true,\n  "log-driver": "journald",\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n',
    ),
    Case(
        "four spaces",
        b'{\n    "debug": true\n}',
        b'{\n    "debug": true,\n    "insecure-registries": [\n        "a:1"\n    ]\n}',
    ),
    Case(
        "tabs",
        b'{\n\t"debug": true\n}\n',
        b'{\n\t"debug": true,\n\t"insecure-registries": [\n\t\t"a:1"\n\t]\n}\n',
    ),
    Case(
        "CRLF",
        b'{\r\n  "debug": true\r\n}\r\n',
        b'{\r\n  "debug": true,\r\n  "insecure-registries": [\r\n    "a:1"\r\n  ]\r\n}\r\n',
    ),
    Case(
        "leading commas",
        b'{ "debug": true\n, "ipv6": false\n}\n',
        b'{ "debug": true\n, "ipv6": false, "insecure-registries": ["a:1"]\n}\n',
    ),
    Case(
        "mirrors",
        b'{\n  "registry-mirrors": ["https://mirror.example.org"]\n}\n',
        b'{\n  "registry-mirrors": ["https://mirror.example.org"],\n  "insecure-registries": [\n    "a:1"\n  ]\n}\n',
    ),
    Case(
        "somebody's entries, one line",
        b'{"insecure-registries": ["10.0.0.0/8", "b:2"], "debug": true}',
        b'{"insecure-registries": ["10.0.0.0/8", "b:2", "a:1"], "debug": true}',
    ),
    Case(
        "somebody's entries, lines",
        b'{\n  "insecure-registries": [\n    "b:2",\n    "c:3"\n  ]\n}\n',
        b'{\n  "insecure-registries": [\n    "b:2",\n    "c:3",\n    "a:1"\n  ]\n}\n',
    ),
    Case("somebody's same entry", b'{"insecure-registries": ["a:1"]}', b'{"insecure-registries": ["a:1"]}'),
    Case(
        "escapes",
        '{"labels": ["caf\\u00e9", "ü", "\\"]}"]}'.encode(),
        '{"labels": ["caf\\u00e9", "ü", "\\"]}"], "insecure-registries": ["a:1"]}'.encode(),
    ),
    Case(
        "nested namesake",
        b'{"builder": {"insecure-registries": 1}}',
        b'{"builder": {"insecure-registries": 1}, "insecure-registries": ["a:1"]}',
    ),
    Case(
        "numbers kept as written",
        b'{"mtu": 1.50e3, "max": 100000000000000000000}',
        b'{"mtu": 1.50e3, "max": 100000000000000000000, "insecure-registries": ["a:1"]}',
    ),
    Case(
        "huge",
        b'{"labels": [' + b", ".join(b'"l%d=x"' % n for n in range(200_000)) + b"]}",
        b'{"labels": [' + b", ".join(b'"l%d=x"' % n for n in range(200_000)) + b'], "insecure-registries": ["a:1"]}',
    ),
    Case("// comment", b'{\n  // mine\n  "debug": true\n}', refused=":2: is not JSON"),
    Case("# comment", b'# mine\n{"debug": true}', refused=":1: is not a JSON object"),
    Case("/* comment */", b'{"debug": true /* mine */}', refused="',' or '}' is missing"),
    Case("BOM", BOM + b'{"debug": true}', refused="byte order mark"),
    Case("UTF-16", '{"debug": true}'.encode("utf-16"), refused="not UTF-8"),
    Case("Latin-1", b'{"labels": ["caf\xe9"]}', refused="not UTF-8"),
    Case("key twice", b'{"debug": true, "debug": false}', refused="a key stands there twice"),
    Case("our key twice", b'{"insecure-registries": [], "insecure-registries": ["b:2"]}', refused="twice"),
    Case("trailing comma", b'{"debug": true,}', refused="a key in double quotes"),
    Case("trailing comma in list", b'{"insecure-registries": ["b:2",]}', refused="is not JSON"),
    Case("cut off", b'{"debug": true', refused="',' or '}' is missing"),
    Case("cut off in a text", b'{"debug": "tr', refused="is not JSON"),
    Case("two objects", b'{"debug": true}\n{"ipv6": true}', refused=":2: is not JSON: something follows"),
    Case("single quotes", b"{'debug': true}", refused="double quotes"),
    Case("list", b'["a"]', refused="not a JSON object"),
    Case("null file", b"null", refused="not a JSON object"),
    Case("text in place of a list", b'{"insecure-registries": "b:2"}', refused="not a list of texts"),
    Case("numbers in the list", b'{"insecure-registries": [1]}', refused="not a list of texts"),
    Case("another case", b'{"Insecure-Registries": []}', refused="is spelled 'insecure-registries'"),
    Case("NaN", b'{"mtu": NaN}', refused="NaN"),
    Case("control character", b'{"debug": "a\nb"}', refused="is not JSON"),
    Case("NUL bytes", b"\0\0\0\0", refused="NUL byte"),
    Case("nested too deeply", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", refused="nested too deeply"),
)


@pytest.mark.promise("daemon-json-bytes")
@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_corpus(case: Case) -> None:
    kind = DaemonJson("daemon.json")
    if case.refused:
        with pytest.raises(BadInput) as caught:
            edits.plan(case.data, None, kind, ONE)
        assert case.refused in str(caught.value)
        assert caught.value.problems[0].hint
        return
    new, mine = edits.plan(case.data, None, kind, ONE)
    assert new == case.after
    assert edits.plan(new, mine, kind, ONE) == (new, mine), "a second time changes nothing"
    assert edits.plan(new, mine, kind, ()) == (case.data, None)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
entries = st.lists(st.sampled_from(["a:1", "b:2", "[::1]:3", "10.0.0.0/8", 'q"\\']), unique=True, max_size=4)


@st.composite
def daemon_jsons(draw: st.DrawFn) -> bytes | None:
    """Any daemon.json that dockerd would read, in any layout."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, b"", b"\n", b"{}", b"{ }", b" {\n\n} "]))
    keys = draw(st.dictionaries(st.text(max_size=5).filter(lambda key: key.lower() != KEY), values, max_size=4))
    pairs = list(keys.items())
    if draw(st.booleans()):
        pairs.insert(draw(st.integers(0, len(pairs))), (KEY, draw(entries)))
    layout = draw(st.sampled_from([None, 0, 1, 2, 4, "\t"]))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (",", " : "), (" ,", ": ")]))
    text = json.dumps(dict(pairs), indent=layout, separators=separators, ensure_ascii=draw(st.booleans()))
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n", "\n\n"])))
    edge = st.sampled_from(["", "\n", " ", "\r\n\t"])
    return (draw(edge) + text + draw(edge)).encode(errors="replace")


@pytest.mark.promise("daemon-json-bytes")
@relaxed
@given(daemon_jsons(), entries, entries)
def test_install_then_remove_gives_the_same_bytes(data: bytes | None, first: list[str], second: list[str]) -> None:
    kind = DaemonJson("daemon.json")
    new, mine = edits.plan(data, None, kind, tuple(first))
    newer, mine = edits.plan(new, mine, kind, tuple(second))
    assert set(second) <= set(kind.entries(newer) or ())
    assert edits.plan(newer, mine, kind, ()) == (data, None)


@relaxed
@given(daemon_jsons(), entries, st.sampled_from(["before", "after"]))
def test_what_others_change_meanwhile_stays(data: bytes | None, wanted: list[str], place: str) -> None:
    """An entry and a key of the administrator's, added after ours, survive; ours go."""
    kind = DaemonJson("daemon.json")
    before = kind.entries(data) or ()
    new, mine = edits.plan(data, None, kind, tuple(wanted))
    if new is None or not new.strip():
        return
    loaded = json.loads(new)
    theirs = [*loaded.get(KEY, []), "theirs:9"] if place == "after" else ["theirs:9", *loaded.get(KEY, [])]
    edited = json.dumps(loaded | {KEY: theirs, "theirs": 1}, indent=3).encode()
    left, mine = edits.plan(edited, mine, kind, ())
    assert mine is None and left is not None
    expected = [*before, "theirs:9"] if place == "after" else ["theirs:9", *before]
    assert json.loads(left) == loaded | {KEY: expected, "theirs": 1}


@relaxed
@given(daemon_jsons(), entries)
def test_taken_out_as_text_it_means_the_same(data: bytes | None, wanted: list[str]) -> None:
    kind = DaemonJson("daemon.json")
    new, mine = edits.plan(data, None, kind, tuple(wanted))
    if mine is None or new is None:
        return
    left, _ = edits.plan(new + b"\n", mine, kind, ())
    assert json.loads((left or b"{}").strip() or b"{}") == json.loads((data or b"{}").strip() or b"{}") or not (
        kind.entries(data)
    )
    assert left is None or KEY not in json.loads(left) or kind.entries(data) is not None


def test_replace_keeps_mode_and_owner_and_compares(tmp_path: Path) -> None:
    path = tmp_path / "daemon.json"
    path.write_bytes(b"{}")
    path.chmod(0o440)
    if os.geteuid() == 0:
        os.chown(path, 1234, 4321)
    edits.replace(edits.read(path), b'{"debug": true}')
    found = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(found.st_mode)) == (b'{"debug": true}', 0o440)
    if os.geteuid() == 0:
        assert (found.st_uid, found.st_gid) == (1234, 4321)
    seen = edits.read(path)
    path.chmod(0o640)
    path.write_bytes(b"{  }")
    with pytest.raises(SecregError, match="changed by somebody else"):
        edits.replace(seen, b"{}")
    assert path.read_bytes() == b"{  }"
    assert [entry.name for entry in tmp_path.iterdir()] == ["daemon.json"]


def test_new_file_appearing_meanwhile_is_kept(tmp_path: Path) -> None:
    seen = edits.read(tmp_path / "daemon.json")
    (tmp_path / "daemon.json").write_bytes(b"theirs")
    for data in (b"{}", None):
        with pytest.raises(SecregError):
            edits.replace(seen, data)
    assert (tmp_path / "daemon.json").read_bytes() == b"theirs"


def test_what_is_not_a_file_of_its_own_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_bytes(b"{}")
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "hard").hardlink_to(real)
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, said in (("link", "symlink"), ("hard", "hard links"), ("dir", "regular"), ("pipe", "regular")):
        with pytest.raises(BadInput, match=said):
            edits.read(tmp_path / name)


# --- flags in environment files


def unit(*argv: str, files: dict[str, str] | None = None, environment: tuple[str, ...] = ()) -> Unit:
    given = tuple((Path(path), text.encode()) for path, text in (files or {}).items())
    return Unit(("/usr/bin/dockerd", *argv), environment, given)


USUAL, SYSCONFIG, DEFAULT = Path("/etc/docker/daemon.json"), "/etc/sysconfig/docker", "/etc/default/docker"
DEBIAN = ("-H", "fd://", "$DOCKER_OPTS")
RED_HAT = ("$OPTIONS", "$INSECURE_REGISTRY")


@pytest.mark.parametrize(
    ("given", "in_json", "expected"),
    [
        (unit(*DEBIAN, files={DEFAULT: "# none\n"}), False, Target(USUAL)),
        (unit(*DEBIAN, files={DEFAULT: 'DOCKER_OPTS="--dns 8.8.8.8"\n'}), False, Target(USUAL)),
        (unit("-H", "fd://"), True, Target(USUAL)),
        (unit("--config-file", "/srv/d.json"), False, Target(Path("/srv/d.json"))),
        (unit("--config-file=/srv/d.json"), False, Target(Path("/srv/d.json"))),
        (
            unit(*DEBIAN, files={DEFAULT: "DOCKER_OPTS='--insecure-registry b:2'\n"}),
            False,
            Target(Path(DEFAULT), "DOCKER_OPTS"),
        ),
        (unit(*RED_HAT, files={SYSCONFIG: "OPTIONS=\n"}), False, Target(Path(SYSCONFIG), "INSECURE_REGISTRY")),
        (unit(*RED_HAT, files={SYSCONFIG: "OPTIONS=\n"}), True, Target(USUAL)),
        (unit(*RED_HAT), False, Target(USUAL)),
        (unit("$OPTIONS", files={DEFAULT: "INSECURE_REGISTRY='--insecure-registry x:1'"}), False, Target(USUAL)),
        (unit("--insecure-registry", "b:2"), False, "has the flag"),
        (unit("--insecure-registry=b:2"), False, "has the flag"),
        (unit("$X", environment=("X=--insecure-registry b:2",)), False, "has the flag"),
        (
            unit(*DEBIAN, files={DEFAULT: "DOCKER_OPTS='--insecure-registry b:2'\n"}),
            True,
            "both this list and the flag",
        ),
    ],
)
def test_where_entries_go(given: Unit, in_json: bool, expected: Target | str) -> None:
    if isinstance(expected, Target):
        assert dockerflags.decide(given, USUAL, in_json=in_json) == expected
    else:
        with pytest.raises(BadInput, match=expected):
            dockerflags.decide(given, USUAL, in_json=in_json)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "V='--insecure-registry a:1'\n"),
        ("# note\nOTHER=1", "# note\nOTHER=1\nV='--insecure-registry a:1'\n"),
        ("V=\nW=1\n", "V='--insecure-registry a:1'\nW=1\n"),
        ("V=''\n", "V='--insecure-registry a:1'\n"),
        ('V="--dns 1.1.1.1"\n', 'V="--dns 1.1.1.1 --insecure-registry a:1"\n'),
        ("V='--insecure-registry b:2'\n", "V='--insecure-registry b:2 --insecure-registry a:1'\n"),
        ("V=1\nV='--x'\n", "V=1\nV='--x --insecure-registry a:1'\n"),
        ("V='--insecure-registry=a:1'\n", "V='--insecure-registry=a:1'\n"),
        ("V='a' 'b'\n", None),
        ('V="$W"\n', None),
        ("V='a\nb'\n", None),
        ("V=a\\\n b\n", None),
    ],
)
def test_flags_in_an_environment_file(text: str, after: str | None) -> None:
    kind = Flags("sysconfig", "V")
    if after is None:
        with pytest.raises(BadInput, match="not written plainly"):
            kind.add(text.encode(), ONE)
        return
    new, mine = edits.plan(text.encode(), None, kind, ONE)
    assert (new or b"").decode() == after
    assert edits.plan(new, mine, kind, ()) == (text.encode(), None)
    if mine is not None:
        edited = after.encode() + b"THEIRS=1\n"
        left, _ = edits.plan(edited, mine, kind, ())
        assert left is not None and b"a:1" not in left and left.endswith(b"THEIRS=1\n")


@relaxed
@given(
    st.lists(st.sampled_from(["# note", "", "A=1", "B='x y'"]), max_size=4),
    st.sampled_from([None, "V=", "V=''", 'V="--dns 1"', "V='--insecure-registry b:2'"]),
    st.booleans(),
    entries.map(lambda found: [entry for entry in found if '"' not in entry]),
)
def test_flags_come_back(lines: list[str], own: str | None, ends: bool, wanted: list[str]) -> None:
    data = ("\n".join([*lines, *([own] if own else [])]) + ("\n" if ends else "")).encode()
    kind = Flags("sysconfig", "V")
    new, mine = edits.plan(data, None, kind, tuple(wanted))
    assert set(wanted) <= set(kind.entries(new))
    assert edits.plan(new, mine, kind, ()) == (data, None)


# --- the daemon


class Fake:
    """systemd and a dockerd that reads daemon.json when it is told to, refusing what `refuses` says. As the real one,
    it keeps the list that it has when the file has none."""

    def __init__(self, paths: Paths, argv: tuple[str, ...] = DEBIAN, state: str = "active") -> None:
        self.paths = paths
        self.argv = argv
        self.state = state
        self.version = "26.1.5"
        self.refuses = ""
        self.stale = False
        self.mirrors: list[str] = []
        self.shown: set[str] = set()
        self.calls: list[tuple[object, ...]] = []
        self.saved: list[Record] = []
        self.asked = 0
        self.silent = False
        paths.docker.mkdir(parents=True)

    @property
    def json(self) -> Path:
        return self.paths.docker / "daemon.json"

    def unit(self, name: str) -> dict[str, object]:
        if name != "docker.service" or not self.state:
            return {"LoadState": "not-found", "ActiveState": "inactive"}
        exec_start = [("/usr/sbin/dockerd", ["/usr/sbin/dockerd", *self.argv])]
        files = [("/etc/default/docker", True)]
        found = {"LoadState": "loaded", "ActiveState": self.state, "ExecStart": exec_start, "EnvironmentFiles": files}
        return found | {"NeedDaemonReload": self.stale}

    def call(self, method: str, *args: object) -> None:
        self.calls.append((method, *args))
        found = DaemonJson("").entries(self.json.read_bytes() if self.json.exists() else None)
        if found is None:
            return
        if not self.refuses or self.refuses not in found:
            self.shown = set(found)

    def ask(self, path: Path) -> dict[str, object]:
        self.asked += 1
        if self.silent:
            raise dockerinfo.Silent(f"dockerd does not answer on {path}")
        indexes = {name: {"Secure": False} for name in self.shown} | {"docker.io": {"Secure": True}}
        return {"ServerVersion": self.version, "RegistryConfig": {"IndexConfigs": indexes, "Mirrors": self.mirrors}}

    def follow(
        self, *wanted: str, record: Record | None = None, patience: Patience = dockerd.ENDLESS
    ) -> tuple[Problem, ...]:
        last = record or (self.saved[-1] if self.saved else Record())
        last = Record.from_json(json.loads(json.dumps(last.as_json())))
        return Docker(self.paths, self, self.ask, patience).follow(last, wanted, self.saved.append)


@pytest.fixture
def fake(root: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setattr(dockerinfo, "last_error", lambda since: "invalid host")
    return Fake(Paths(root))


HUP = ("KillUnit", "docker.service", "main", 1)


def test_install_proves_and_remove_restores(fake: Fake) -> None:
    fake.json.write_bytes(b'{"debug": true}')
    assert fake.follow("a:1") == ()
    assert (fake.shown, fake.calls) == ({"a:1"}, [HUP])
    assert (fake.paths.backups / "daemon.json").read_bytes() == b'{"debug": true}'
    assert fake.follow("a:1") == () and fake.calls == [HUP], "the second time nothing is done"
    assert fake.follow("b:2") == () and fake.shown == {"b:2"}
    assert fake.follow() == ()
    assert (fake.shown, fake.json.read_bytes(), fake.saved[-1]) == (set(), b'{"debug": true}', Record())


def test_what_dockerd_refuses_is_undone_and_not_tried_again(fake: Fake) -> None:
    fake.json.write_bytes(b'{"insecure-registries": ["theirs:1"]}')
    fake.shown, fake.refuses = {"theirs:1"}, "a:1"
    (problem,) = fake.follow("a:1")
    assert "invalid host" in problem.what and problem.hint
    assert fake.json.read_bytes() == b'{"insecure-registries": ["theirs:1"]}'
    assert fake.calls == [HUP, HUP], "reloaded, and reloaded again after the undoing"
    assert fake.follow("a:1") == (problem,)
    assert fake.calls == [HUP, HUP]
    fake.refuses = ""
    assert fake.follow("b:2") == () and fake.shown == {"theirs:1", "b:2"}
    fake.refuses = "c:3"
    assert len(fake.follow("b:2", "c:3")) == 1
    assert DaemonJson("").entries(fake.json.read_bytes()) == ("theirs:1", "b:2")
    assert fake.follow() == () and fake.json.read_bytes() == b'{"insecure-registries": ["theirs:1"]}'


def test_versions_that_lose_the_list_are_not_reloaded(fake: Fake) -> None:
    fake.version, fake.mirrors = "24.0.7", ["https://mirror.example.org/"]
    (problem,) = fake.follow("a:1")
    assert "24.0.7" in problem.what
    assert not fake.json.exists() and fake.calls == []
    fake.mirrors = []
    assert fake.follow("a:1") == () and fake.shown == {"a:1"}
    fake.mirrors = ["https://mirror.example.org/"]
    (note,) = fake.follow()
    assert isinstance(note, Note) and "restart" in note.hint
    assert not fake.json.exists() and fake.calls == [HUP], "nor when ours are taken out"


def test_a_unit_that_systemd_has_not_read_again_is_not_judged(fake: Fake) -> None:
    fake.follow("a:1")
    fake.stale = True
    assert fake.follow("a:1") == (), "what is there stays"
    (problem,) = fake.follow("a:1", "b:2")
    assert "systemctl daemon-reload" in problem.hint and DaemonJson("").entries(fake.json.read_bytes()) == ("a:1",)
    assert isinstance(problem, Later), "nobody but systemd knows when it has"
    assert fake.follow() == () and not fake.json.exists(), "what is ours may always go"


def test_a_daemon_that_starts_while_we_write_is_told(fake: Fake) -> None:
    """systemd said that it does not run; it read its file just before ours was in it."""
    states = iter(["inactive"])
    look = fake.unit
    fake.unit = lambda name: look(name) | {"ActiveState": next(states, "active")}  # type: ignore[method-assign]
    assert fake.follow("a:1") == () and fake.shown == {"a:1"}


def test_a_daemon_that_was_stopped_meanwhile_is_not_blamed(fake: Fake) -> None:
    states = iter(["active"])
    look = fake.unit
    fake.unit = lambda name: look(name) | {"ActiveState": next(states, "inactive")}  # type: ignore[method-assign]
    assert fake.follow("a:1") == () and fake.calls == []
    assert DaemonJson("").entries(fake.json.read_bytes()) == ("a:1",)


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_a_stopped_daemon_reads_it_when_it_starts(fake: Fake, state: str) -> None:
    fake.state = state
    assert fake.follow("a:1") == ()
    assert fake.calls == [] and DaemonJson("").entries(fake.json.read_bytes()) == ("a:1",)
    assert fake.follow() == () and not fake.json.exists()


def test_without_docker_nothing_happens(fake: Fake) -> None:
    fake.state = ""
    assert fake.follow("a:1") == ()
    assert not fake.json.exists() and fake.saved == []


def test_after_docker_is_gone_ours_go_too(fake: Fake) -> None:
    fake.follow("a:1")
    fake.state = ""
    assert fake.follow("a:1") == () and not fake.json.exists()


@pytest.mark.promise("docker-is-followed")
def test_a_flag_that_appears_later_drives_ours_out(fake: Fake) -> None:
    """dockerd would not start again with both."""
    fake.follow("a:1")
    fake.argv = ("--insecure-registry", "b:2")
    (problem,) = fake.follow("a:1")
    assert "has the flag" in problem.what
    assert not fake.json.exists()


@pytest.mark.parametrize("place", ["etc/systemd/system/docker.service.d/later.conf", "etc/default/docker"])
def test_a_flag_that_systemd_has_not_read_drives_ours_out_of_the_file_alone(fake: Fake, place: str) -> None:
    """Seen: dockerd stayed down after `systemctl daemon-reload; systemctl restart docker`, until somebody reloaded."""
    path = fake.paths.root / place
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nEnvironment=X=1\n")
    fake.json.write_bytes(b'{"debug": true}')
    fake.follow("a:1")
    fake.stale = True
    assert fake.follow("a:1") == (), "a drop-in without the flag"
    path.write_text("[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd --insecure-registry b:2\n")
    calls = list(fake.calls)
    (problem,) = fake.follow("a:1", patience=HURRIED)
    assert isinstance(problem, Later) and "daemon-reload" in problem.hint
    assert fake.json.read_bytes() == b'{"debug": true}'
    assert (fake.shown, fake.calls) == ({"a:1"}, calls), "until it is restarted it has them on"
    (problem,) = fake.follow("a:1", patience=HURRIED)
    assert isinstance(problem, Later), "it is tried again until systemd has read it"
    fake.stale = False
    if place.startswith("etc/default"):
        path.write_text("DOCKER_OPTS=\n")
        assert fake.follow("a:1", patience=HURRIED) == () and fake.json.read_bytes() != b'{"debug": true}'


def test_a_daemon_that_did_not_start_with_ours_is_started(fake: Fake) -> None:
    """systemd gives up after a few attempts; one that somebody stopped stays so."""
    path = fake.paths.root / "etc/default/docker"
    path.parent.mkdir(parents=True)
    for state, started in (("failed", 1), ("inactive", 0), ("active", 0)):
        for argv, options in ((("--insecure-registry", "b:2"), ""), (DEBIAN, "--insecure-registry b:2")):
            fake.state, fake.argv = "active", DEBIAN
            path.write_text("")
            assert fake.follow("a:1") == ()
            fake.state, fake.argv, fake.calls = state, argv, []
            path.write_text(f"DOCKER_OPTS='{options}'\n" if options else "")
            assert len(fake.follow("a:1", patience=HURRIED)) == (not options or state == "active")
            again = [("ResetFailedUnit", "docker.service"), ("StartUnit", "docker.service", "fail")] * started
            assert [call for call in fake.calls if call != HUP] == again, (state, argv)
            assert not fake.json.exists()
            fake.follow(record=Record())
            fake.saved.clear()


def test_a_daemon_that_runs_with_a_flag_that_is_gone_reads_ours_when_it_is_restarted(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: it refuses them, so they were undone, and not tried again."""
    monkeypatch.setattr(dockerd, "PROC", tmp_path)
    running, look = tmp_path / "7/cmdline", fake.unit
    running.parent.mkdir()
    fake.unit = lambda name: look(name) | {"MainPID": 7}  # type: ignore[method-assign]
    for flag in (b"--insecure-registry=b:2", b"--insecure-registry\0b:2"):
        running.write_bytes(b"dockerd\0" + flag + b"\0")
        (note,) = fake.follow("a:1", patience=HURRIED)
        assert isinstance(note, Note) and "only when it is restarted" in note.what
        assert fake.calls == [] and DaemonJson("").entries(fake.json.read_bytes()) == ("a:1",)
        assert fake.follow("a:1", patience=HURRIED) == ()
        assert len(fake.follow()) == 1 and fake.calls == []
    fake.follow("a:1", patience=HURRIED)
    running.write_bytes(b"dockerd\0")
    fake.shown = {"a:1"}
    assert fake.follow("a:1", patience=HURRIED) == () and fake.calls == []
    assert fake.follow() == () and not fake.json.exists()


def test_flags_in_the_environment_file_are_continued_there(fake: Fake) -> None:
    path = fake.paths.root / "etc/default/docker"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"DOCKER_OPTS='--insecure-registry b:2'\n")
    (problem,) = fake.follow("a:1")
    assert "only when it is restarted" in problem.what and "systemctl restart docker" in problem.hint
    assert path.read_bytes() == b"DOCKER_OPTS='--insecure-registry b:2 --insecure-registry a:1'\n"
    assert fake.follow("a:1") == () and fake.calls == []
    fake.follow()
    assert path.read_bytes() == b"DOCKER_OPTS='--insecure-registry b:2'\n"


@pytest.mark.parametrize("moment", range(4))
def test_killed_at_any_moment_it_ends_well(fake: Fake, moment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before each step; the next run finishes, and removal restores the bytes."""
    fake.json.write_bytes(b'{"debug": true}\n')
    fake.follow("a:1")

    class Crash(BaseException):
        pass

    steps = iter(range(100))

    def crashing(act: Callable[..., Made]) -> Callable[..., Made]:
        def run(*args: object) -> Made:
            if next(steps) == moment:
                raise Crash
            return act(*args)

        return run

    with monkeypatch.context() as patch:
        patch.setattr(fake, "call", crashing(fake.call))
        patch.setattr(edits, "replace", crashing(edits.replace))
        saved = fake.saved
        save = crashing(saved.append)
        with pytest.raises(Crash):
            Docker(fake.paths, fake, fake.ask).follow(saved[-1], ("b:2",), save)
    assert fake.follow("c:3") == () and fake.shown == {"c:3"}
    assert fake.follow() == () and fake.json.read_bytes() == b'{"debug": true}\n'


# --- an apply, which does not wait for it

HURRIED = Patience(endless=False)


def test_what_dockerd_has_taken_over_is_not_asked_again(fake: Fake) -> None:
    """Not when it hangs, starts or is stopped either; but when others write its file, or something else is wanted."""
    assert fake.follow("a:1", patience=HURRIED) == ()
    asked, saved = fake.asked, len(fake.saved)
    for fake.state in ("active", "activating", "reloading", "inactive"):
        fake.silent = fake.state == "active"
        assert fake.follow("a:1", patience=HURRIED) == ()
    assert (fake.asked, fake.calls, len(fake.saved)) == (asked, [HUP], saved)
    fake.state, fake.silent = "active", False
    fake.json.write_bytes(fake.json.read_bytes().replace(b"{", b'{"debug": true, ', 1))
    assert fake.follow("a:1", patience=HURRIED) == () and fake.asked > asked
    asked = fake.asked
    assert fake.follow("a:1", patience=HURRIED) == () and fake.asked == asked
    fake.shown = set()
    fake.json.write_bytes(fake.json.read_bytes() + b"\n")
    assert fake.follow("a:1", patience=HURRIED) == () and fake.shown == {"a:1"}, "a run was killed before the reload"


@pytest.mark.parametrize("state", ["activating", "reloading"])
@pytest.mark.parametrize("wanted", [("b:2",), ()])
def test_a_daemon_that_starts_is_told_later(
    fake: Fake, state: str, wanted: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is waited for, nothing half done: once it runs, the same comes about by itself."""
    monkeypatch.setattr("secreg_host.base.waiting.time.sleep", lambda _: pytest.fail("it waits"))
    fake.follow("a:1", patience=HURRIED)
    before, asked, fake.state = fake.json.read_bytes(), fake.asked, state
    (problem,) = fake.follow(*wanted, patience=HURRIED)
    assert isinstance(problem, Later) and problem.where == "docker.service" and "is starting" in problem.what
    assert (fake.json.read_bytes(), fake.asked, fake.calls) == (before, asked, [HUP])
    fake.state = "active"
    assert fake.follow(*wanted, patience=HURRIED) == ()
    assert fake.shown == set(wanted) and fake.json.exists() == bool(wanted)


def test_a_daemon_that_hangs_is_asked_as_often_as_it_is_tried_again(fake: Fake) -> None:
    """Edits in between do not ask it."""
    fake.silent = True
    (problem,) = fake.follow("a:1", patience=HURRIED)
    assert isinstance(problem, Later) and "does not answer" in problem.what
    assert fake.asked == 1 and not fake.json.exists()
    retries.failed(fake.paths, [Problem(problem.where, problem.what, problem.hint)], start=False)
    for _ in range(3):
        assert fake.follow("a:1", patience=HURRIED) == (problem,)
    assert fake.asked == 1
    fake.silent = False
    assert fake.follow("a:1") == () and fake.shown == {"a:1"}, "who types it may wait"
    fake.follow()
    due = retries.load(fake.paths)
    assert due is not None
    records.save(fake.paths.retry, asdict(replace(due, next=time.time() - 1)))
    assert fake.follow("a:1", patience=HURRIED) == () and fake.shown == {"a:1"}


def test_ours_leave_a_daemon_that_can_not_start(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd tries it again and again: with a flag of others beside ours, or when we are removed."""
    monkeypatch.setattr(dockerd, "STARTING_SECONDS", 0.0)
    monkeypatch.setattr(dockerd, "PROOF_SECONDS", 0.0)
    for argv, wanted, patience in (
        (("--insecure-registry", "b:2"), ("a:1",), HURRIED),
        (DEBIAN, (), dockerd.ENDLESS),
    ):
        fake.state, fake.argv = "active", DEBIAN
        assert fake.follow("a:1") == ()
        fake.state, fake.argv = "activating", argv
        assert len(fake.follow(*wanted, patience=patience)) == len(wanted)
        assert not fake.json.exists()


def test_a_daemon_that_hangs_is_known_by_its_silence(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "docker.sock"))
        with pytest.raises(SecregError) as refused:
            dockerinfo.info(root / "docker.sock", 0.01)
        assert not isinstance(refused.value, dockerinfo.Silent)
        listener.listen(1)
        with pytest.raises(dockerinfo.Silent, match="docker.sock"):
            dockerinfo.info(root / "docker.sock", 0.01)


@pytest.mark.promise("daemon-json-left-alone")
@pytest.mark.parametrize("data", [b"{", BOM + b"{}", b'{"insecure-registries": 1}'])
def test_a_daemon_json_that_is_broken_is_left_alone(fake: Fake, data: bytes) -> None:
    fake.json.write_bytes(data)
    (problem,) = fake.follow("a:1")
    assert problem.hint and fake.json.read_bytes() == data and fake.calls == []
    fake.json.unlink()
    (fake.json.with_name("elsewhere.json")).write_bytes(b"{}")
    fake.json.symlink_to("elsewhere.json")
    (problem,) = fake.follow("a:1")
    assert "symlink" in problem.what and fake.json.is_symlink()


def test_daemons_that_are_left_alone_are_named(fake: Fake) -> None:
    (fake.paths.user_runs / "1000").mkdir(parents=True)
    (fake.paths.user_runs / "1000/docker.sock").touch()
    (problem,) = dockerd.left_alone(fake.paths, fake)
    assert "rootless" in problem.what


@pytest.mark.parametrize(
    ("argv", "config", "found"),
    [
        (("-H", "fd://"), '{"hosts": ["unix:///x.sock"]}', "run/docker.sock"),
        ((), '{"hosts": ["tcp://0.0.0.0:2375", "unix:///x.sock"]}', "/x.sock"),
        ((), '{"hosts": ["fd://", "tcp://0.0.0.0:2375"]}', "run/docker.sock"),
        ((), '{"hosts": ["unix://"]}', "run/docker.sock"),
        ((), '{"hosts": 5}', "run/docker.sock"),
        ((), "{", "run/docker.sock"),
        (("--host=unix:///y.sock",), "{}", "/y.sock"),
    ],
)
def test_a_daemon_is_asked_where_it_listens(fake: Fake, argv: tuple[str, ...], config: str, found: str) -> None:
    """Also by "hosts" in daemon.json."""
    fake.argv = argv
    fake.json.write_text(config)
    at = dockerd.Dockerd(fake.paths, fake, None, HURRIED).socket
    assert at == (Path(found) if found.startswith("/") else fake.paths.root / found)


def test_a_daemon_that_has_no_socket_here_is_named(fake: Fake) -> None:
    fake.argv = ()
    fake.json.write_text('{"hosts": ["tcp://0.0.0.0:2376"]}')
    (problem,) = fake.follow("a:1")
    assert "tcp://0.0.0.0:2376 alone" in problem.what and f"unix://{fake.paths.docker_socket}" in problem.hint
    assert fake.json.read_text() == '{"hosts": ["tcp://0.0.0.0:2376"]}'


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('Head "https://a/v2/x/manifests/1": no basic auth credentials', ""),
        ("unauthorized: authentication required", ""),
        ("invalid reference format", None),
        (
            'Get "https://a/v2/": x509: certificate signed by unknown authority',
            "x509: certificate signed by unknown authority",
        ),
        ("missing key ca.key for client certificate ca.cert", "missing key ca.key for client certificate ca.cert"),
    ],
)
def test_what_dockerd_says_of_a_registry(message: str, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 20.10 and 26.1 were seen to say it."""
    asked: list[str] = []
    monkeypatch.setattr(dockerinfo, "_get", lambda path, target, seconds: asked.append(target) or {"message": message})
    assert dockerinfo.reaches(Path("/x"), "[::1]:443") == said
    assert asked == ["/distribution/%5B%3A%3A1%5D%3A443/secure-registry/probe:1/json"]
