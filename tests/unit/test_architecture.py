"""The rooms of the house, as ARCHITECTURE.md's table lists them: what is where, and who may look into what."""

from __future__ import annotations

import ast
import configparser
import re
from graphlib import TopologicalSorter
from typing import TypeGuard

import pytest

from secreg_host.clients import trust
from secreg_host.command import cli
from secreg_host.watchdog import ask
from tests.unit.syntax import (
    CHECKOUT,
    MODULES,
    PACKAGE,
    calls,
    imported,
    importers,
    imports,
    nodes,
    texts,
    tree,
    who_says,
)

ROW = re.compile(r"^\| `(?P<room>[a-z/.]*)/?` \| [^|]+ \| (?P<modules>[^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")


def read_rooms() -> dict[str, list[str]]:
    """The modules of each folder, top to bottom; `.` is the package itself. A folder in a room is part of it."""
    table = (CHECKOUT / "ARCHITECTURE.md").read_text().partition("## Where to find things")[2].partition("\n## ")[0]
    return {found["room"].rstrip("/"): NAME.findall(found["modules"]) for found in ROW.finditer(table)}


ROOMS = read_rooms()
ORDER = list(ROOMS)


def room_of(module: str) -> str:
    return module.partition("/")[0] if "/" in module else "."


@pytest.mark.promise("rooms")
def test_every_folder_and_module_is_listed_once() -> None:
    listed = [f"{room}/{name}".removeprefix("./") for room, names in ROOMS.items() for name in names]
    assert sorted(listed) == MODULES
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {str(path.parent.relative_to(PACKAGE)) for path in files} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_what_stands_for_a_room_says_what_it_is_about(room: str) -> None:
    """And does nothing. That of the package itself knows its version."""
    body = tree(f"{room}/__init__").body
    assert isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    assert [ast.unparse(node).partition(" = ")[0] for node in body[1:]] == (["__version__"] if room == "." else [])


def test_one_file_a_verb() -> None:
    """What the command lists; each with its line, its options and what it does, and nothing else for others."""
    assert sorted(ROOMS["command/verbs"]) == sorted((*cli.VERBS, *cli.HIDDEN))
    for name in ROOMS["command/verbs"]:
        body = tree(f"command/verbs/{name}").body
        assert "ABOUT" in {ast.unparse(node.targets[0]) for node in body if isinstance(node, ast.Assign)}, name
        made = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
        assert [one for one in made if not one.startswith("_")] == ["add", "run"], name


def test_one_file_a_client() -> None:
    files = {name.removeprefix("trust_") for name in ROOMS["clients"] if name.startswith("trust_")}
    assert files == set(trust.NAMES)


def test_every_module_is_used() -> None:
    """Where the command begins, nobody imports; verbs are loaded by their names."""
    used = set().union(*map(imported, MODULES)) | {f"command/verbs/{name}" for name in (*cli.VERBS, *cli.HIDDEN)}
    assert set(MODULES) - used == {"__main__"}


def test_every_folder_is_installed_by_pip() -> None:
    """Each by its name: templates are a package there, and are none here."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    folders = {f"secreg_host/{room}".removesuffix("/.").replace("/", ".") for room in ROOMS}
    assert set(setup["options"]["packages"].split()) == folders | {"secreg_host.templates"}


@pytest.mark.promise("rooms")
@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) != "."])
def test_rooms_look_down_only(module: str) -> None:
    own = ORDER.index(room_of(module))
    wrong = [other for other in imported(module) if room_of(other) != room_of(module)]
    assert [other for other in wrong if ORDER.index(room_of(other)) <= own] == []


@pytest.mark.promise("rooms")
def test_no_circle_within_a_room() -> None:
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()


def test_edges_have_one_owner() -> None:
    assert importers("pydbus") == {"base/systemd"}
    assert importers("jinja2") == {"base/templating"}
    assert importers("aiohttp") == {"push/serve"}
    assert importers("yaml") == {"formats/yamlfile"}
    assert importers("passlib") == {"formats/users"}
    assert importers("ipaddress") == {"base/names"}
    assert importers("hashlib") == {"base/marks", "formats/users"}, "one digest, besides what is a format of passwords"
    assert importers("argparse") <= {name for name in MODULES if room_of(name) == "command"} | {"formats/hashoptions"}


def test_modules_are_loaded_by_their_names_in_two_places() -> None:
    """Verbs, and what an apply will need."""
    assert importers("importlib", "pkgutil", "runpy", "builtins") == {"command/cli", "command/ready"}
    assert who_says("__import__|__builtins__|eval|exec") == {}


STARTS = (
    r"exec[lv]\w*|_?(posix_)?spawn\w*|fork\w*|system|_?popen\w*|Popen|Subprocess\w*|create_subprocess_\w+"
    "|ProcessPoolExecutor"
)


def test_programs_are_started_in_one_place() -> None:
    """Forks run no other program: one that may be left behind, one for each apply, and those that are another user."""
    assert who_says(STARTS) == {
        "base/process": {"Popen"},
        "base/distant": {"fork"},
        "base/deputies": {"fork"},
        "command/ready": {"fork"},
        "services/foreground": {"popen"},  # what base/process started
    }
    assert importers("subprocess") == {"base/process", "services/foreground"}
    said = re.findall(r"\bsubprocess\b\S*", ast.unparse(tree("services/foreground")))
    assert said == ["subprocess", "subprocess.TimeoutExpired:"], "no more than how one ended"
    assert importers("multiprocessing", "_posixsubprocess", "pty") == set()
    assert importers("asyncio") == {"queue/serve", "push/serve"}, "whose functions that start programs are in STARTS"
    assert importers("posix") == {"watchdog/ask"}, "os takes longer to load"
    assert [name for name, _ in imports("watchdog/ask") if name.startswith("posix")] == ["posix.environ"]
    assert importers("ctypes", "_ctypes", "cffi") == {"base/crypt", "watchdog/events"}, "crypt(3), errno"


def test_whether_a_file_is_the_same_is_asked_in_one_place() -> None:
    """How old one is (st_mtime) is another question, and so is whether two paths lead to one file (samestat)."""
    stat = {"st_ino", "st_ctime", "st_ctime_ns", "st_mtime_ns"}
    assert who_says(r"(?i:st_(ino|ctime|ctime_ns|mtime_ns))|getctime|crc32|adler32") == {"base/marks": stat}
    assert importers("filecmp", "zlib", "binascii") == set()


def test_whether_systemd_runs_is_asked_once() -> None:
    """All others have the answer: Host.by_systemd."""
    asks = re.compile(r"\bSYSTEMD\b|sd_booted")
    found = {module for module in MODULES if asks.search((PACKAGE / f"{module}.py").read_text())}
    assert found == {"base/paths", "host/host"}


def test_who_runs_the_processes_is_known_in_one_room() -> None:
    """What follows from it, all others ask of host/: which walls there are, whether views, whether systemd answers.
    One place chooses who acts on an instance, or may run it."""
    found = {module for module in MODULES if "by_systemd" in (PACKAGE / f"{module}.py").read_text()}
    assert {module for module in found if room_of(module) != "host"} == {"command/instance"}


def test_bytes_become_text_by_one_rule() -> None:
    """base/errors turns text into bytes and back, to print what is none."""
    said = who_says("decode|UnicodeDecodeError|TextIOWrapper|getreader|getincrementaldecoder|makefile")
    assert said == {"base/utf8": {"decode", "UnicodeDecodeError"}, "base/errors": {"decode"}}
    for_tarfile = {"upkeep/archived", "upkeep/configuration"}
    assert importers("codecs", "_codecs", "io", "_io") == {"base/utf8", *for_tarfile}, "there BytesIO"
    casts = [(module, node) for module in MODULES for name, node in calls(module) if name == "str"]
    assert [module for module, node in casts if len(node.args) + len(node.keywords) > 1] == [], "with an encoding"


def test_seconds_are_waited_for_in_one_place() -> None:
    """What reads the date (time.time), or waits for a descriptor or an event, is something else."""
    said = who_says(r"sleep|(monotonic|perf_counter|process_time|thread_time|clock_gettime)(_ns)?")
    assert said == {
        "base/waiting": {"sleep", "monotonic"},
        "host/activity": {"clock_gettime"},  # the kernel's own, which processes begin by
    }


def test_addresses_are_read_in_one_place() -> None:
    assert who_says("inet_(pton|aton|ntop|ntoa)") == {"host/ports": {"inet_ntop"}}, "of the kernel's own table"


TOP = "bin|boot|dev|etc|home|lib|lib32|lib64|media|mnt|opt|proc|root|run|sbin|snap|srv|sys|tmp|usr|var"
ABSOLUTE = re.compile(rf"(^([^\s/]+ )?|[=:])/({TOP})\b")
"""A path, also as the value of an option or the argument of a word; a message says more before it."""


def test_absolute_paths_are_in_one_place() -> None:
    found = set()
    for module in MODULES:
        said = [text if isinstance(text, str) else text.decode("latin-1") for _, text in texts(module)]
        found |= {module for text in said if ABSOLUTE.search(text)}
        found |= {f"{module}:{node.lineno}" for node in nodes(module) if _begins_at_the_top(node)}
    assert found == {"base/paths", "watchdog/ask"}, "ask imports nothing that takes time"
    unit = (CHECKOUT / "units/secure-registry-apply.socket").read_text()
    assert f"ListenStream={ask.SOCKET}\n" in unit


def _begins_at_the_top(node: ast.AST) -> TypeGuard[ast.Call | ast.BinOp]:
    """Whether it is the path of something below / that is put together: Path("/", "etc"), Path("/") / "etc"."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div) and ast.unparse(node.left).endswith("Path('/')")
    if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith(("Path", "join", "joinpath")):
        return False
    return [ast.unparse(one) for one in node.args[:1]] == ["'/'"] and len(node.args) > 1


OPENS = {"read_bytes", "read_text", "open"}
KERNEL = {
    *("base/distro", "base/process", "host/activity", "host/host", "host/ports", "host/sandbox", "host/views"),
    *("services/nginxmaster", "wanted/settings", "command/foreground", "command/ready"),
}
"""Read /proc, /sys and os-release, and nothing else."""

PLACES = {"base/attributes", "base/directories", "apply/asking", "command/cli"}
"""Open directories, sockets as places, what is to be moved, and the null device, and read nothing."""

ROOTS = {"generation/liveusers", "base/reserve"}
"""Open files that only root can have put there."""

IMAGES = {"base/deputies", "images/flight", "images/layout", "images/linking", "images/trash"}
"""Open what is in the registry's store, as its user: regular files, without waiting, no link in their place."""

BACKUPS = {f"upkeep/{name}" for name in ("configuration", "hashing", "holding", "inside", "listing", "pool")}
"""Open files of backups in the same way: large ones, piece by piece, whoever writes there, too."""

READERS = {"base/reading", "base/files", "base/temporary", "base/distant", "base/appended"}
"""Of what others wrote; locks of ours, and what was left of such; the table of mounts; logs, line by line."""


def test_one_module_opens_what_others_wrote() -> None:
    assert {
        module for module in MODULES if OPENS & {name for name, _ in calls(module)}
    } - KERNEL - PLACES - ROOTS - IMAGES - BACKUPS == READERS


def test_modules_and_functions_are_short() -> None:
    """Those of modules in lines as they are; of functions, with their docstring."""
    long = {module for module in MODULES if len((PACKAGE / f"{module}.py").read_text().splitlines()) > 300}
    for module in MODULES:
        for node in nodes(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60:
                long.add(f"{module}: {node.name}")
    assert long == set()


def test_nobody_ends_the_process_but_the_entry() -> None:
    said = who_says("exit|quit|_exit|abort|SystemExit")
    forks = {module: {"_exit"} for module in ("base/distant", "base/deputies", "command/ready")}
    assert said == {"__main__": {"exit"}, **forks}, "_exit is a fork's end"
    errors = [(module, node.func) for module in MODULES for name, node in calls(module) if name == "error"]
    loggers = {"log.error", "logging.getLogger(__name__).error"}
    assert {(module, ast.unparse(said)) for module, said in errors if ast.unparse(said) not in loggers} == set(), (
        "parsers"
    )
