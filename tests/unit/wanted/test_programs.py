"""A program that can't be used holds back its own setting, whatever else changed with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from secreg_host.apply import activate, choice, portconflicts, rehearsal
from secreg_host.apply.activate import Stage
from secreg_host.base import distant
from secreg_host.base.errors import BadInput, Later, Problem, SecregError
from secreg_host.base.systemd import Systemd
from secreg_host.generation import generations
from secreg_host.generation.generations import Generation
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.services import units
from secreg_host.services.services import Idle
from secreg_host.services.unitservices import UnitServices
from secreg_host.wanted import programs
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import YML, RegistryPart
from secreg_host.wanted.settings import Settings
from tests import made

GOOD = {"certificate": "good", "nginx": "good", "registry": "good"}


class Tried:
    """Generations without a host: each part is a word, and what is wrong with some together is told by `judge`."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host, self.registries = host, 0
        self.stage = Stage(host, Idle())
        host.paths.etc.mkdir(parents=True)
        host.paths.conf.write_text("# settings\nNGINX_BINARY=/opt/nginx\nREGISTRY_BINARY=/opt/registry\n")
        monkeypatch.setattr(choice.assemble, "assemble", lambda _, parts, slot: Generation(parts, slot, {}))
        monkeypatch.setattr(choice.assemble, "generation_conf", lambda _: {})
        monkeypatch.setattr(generations, "stage", lambda _host, one, _: host.paths.generations / one.name)
        monkeypatch.setattr(rehearsal, "check", lambda _host, one, *_: self.front(one))
        monkeypatch.setattr(portconflicts, "problem", lambda *_: None)
        monkeypatch.setattr(activate, "bring_up_registry", lambda _, one: self.registry(one))
        monkeypatch.setattr(choice, "_storage_problems", lambda *_: ())
        self.parts({}, GOOD)

    def parts(self, given: Mapping[str, str | int], words: dict[str, str]) -> Parts:
        return made.parts(
            made.certificate({"certificate/x": words["certificate"].encode()}),
            NginxPart(files={"nginx/x": words["nginx"].encode()}),
            RegistryPart(files={YML: words["registry"].encode()}, root=None, sources=("yml",)),
            **given,
        )

    def front(self, one: Generation) -> tuple[Problem, ...]:
        bad = one.settings.nginx_binary == "/opt/nginx"
        return (Problem("nginx.conf", "no answer"),) if bad or b"bad" in one.files["nginx/x"] else ()

    def registry(self, one: Generation) -> tuple[Problem, ...]:
        self.registries += 1
        bad = one.settings.registry_binary == "/opt/registry"
        return (Problem("yml", "it ends"),) if bad or b"bad" in one.files[YML] else ()

    def choose(self, given: Mapping[str, str | int], words: dict[str, str]) -> tuple[Generation, dict[str, str]]:
        current = Generation(self.parts({}, GOOD), "a", {})
        wanted = self.parts(given, GOOD | words)
        chosen, found = choice.choose(self.stage, wanted, current, None, "", live=True, renew=False)
        return chosen, {finding.problem.where: finding.problem.what for finding in found}


@pytest.fixture
def tried(host: Host, monkeypatch: pytest.MonkeyPatch) -> Tried:
    return Tried(host, monkeypatch)


@pytest.mark.promise("bad-programs")
@pytest.mark.parametrize(
    ("given", "line", "told"),
    [
        ({"nginx_binary": "/opt/nginx"}, 2, "NGINX_BINARY=/opt/nginx: no answer"),
        ({"registry_binary": "/opt/registry"}, 3, "REGISTRY_BINARY=/opt/registry: it ends"),
    ],
)
def test_all_that_came_with_a_bad_program_serves(tried: Tried, given: dict[str, str], line: int, told: str) -> None:
    words = {"certificate": "new", "nginx": "new", "registry": "new"}
    chosen, found = tried.choose({**given, "cert_days": 99}, words)
    assert found == {f"{tried.host.paths.conf}:{line}": told}
    assert [chosen.files[name] for name in ("certificate/x", "nginx/x", YML)] == [b"new"] * 3
    settings = chosen.settings
    assert (settings.nginx_binary, settings.registry_binary, settings.cert_days) == ("", "", 99)


def test_a_bad_program_does_not_hide_what_else_is_bad(tried: Tried) -> None:
    words = {"certificate": "new", "registry": "bad"}
    chosen, found = tried.choose({"registry_binary": "/opt/registry"}, words)
    assert found == {
        f"{tried.host.paths.conf}:3": "REGISTRY_BINARY=/opt/registry: it ends",
        "yml": "it ends",
    }
    assert chosen.files["certificate/x"] == b"new"


def test_a_good_program_stays_when_something_else_is_bad(tried: Tried) -> None:
    chosen, found = tried.choose({"registry_binary": "/usr/bin/other"}, {"nginx": "bad"})
    assert found == {"nginx.conf": "no answer"}
    assert chosen.settings.registry_binary == "/usr/bin/other"


def test_a_registry_that_did_not_start_is_not_tried_again_for_a_certificate(tried: Tried) -> None:
    """One that hangs is waited for once."""
    tried.choose({"registry_binary": "/opt/registry"}, {"certificate": "new"})
    assert tried.registries == 1


def test_nothing_to_go_back_to(tried: Tried) -> None:
    with pytest.raises(BadInput):
        wanted = tried.parts({"registry_binary": "/opt/registry"}, GOOD)
        choice.choose(tried.stage, wanted, None, None, "", live=True, renew=False)


def test_what_can_not_be_run_is_told_before_it_is_tried(
    tried: Tried, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf, good = tried.host.paths.conf, root / "good"
    good.write_text("#!/bin/sh\n")
    good.chmod(0o755)

    def unusable(refused: str = "", known: Settings | None = None, **given: str) -> dict[str, tuple[str, str]]:
        settings = made.settings(**given).settings
        found = programs.unusable(conf, settings, known, lambda argv: Problem("", refused) if refused else None)
        again = {isinstance(problem, Later) for problem in found.values()}
        assert again <= {not refused}, "nothing tells when it is there; to try a bad one each time costs"
        return {name: (problem.where, problem.what) for name, problem in found.items()}

    assert unusable() == {}
    assert unusable(nginx_binary=str(good), registry_binary=str(good)) == {}
    missing = unusable(nginx_binary="/usr/sbin/nignx", registry_binary=str(root))
    assert missing["NGINX_BINARY"] == (f"{conf}:2", "NGINX_BINARY: program not found: /usr/sbin/nignx")
    assert missing["REGISTRY_BINARY"] == (f"{conf}:3", f"REGISTRY_BINARY: is a directory: {root}")

    def silent(path: Path | str, *_: object) -> None:
        raise SecregError(f"{path} does not answer")

    good.chmod(0o644)
    assert unusable(nginx_binary=str(good))["NGINX_BINARY"][1] == f"NGINX_BINARY: is not executable: {good}"
    good.chmod(0o755)
    with monkeypatch.context() as away:  # seen: it was looked at once more, without an end to waiting
        away.setattr(distant, "ask", silent)
        assert "does not answer" in unusable(nginx_binary=str(good))["NGINX_BINARY"][1]
    assert unusable("hidden", nginx_binary=str(good)) == {"NGINX_BINARY": (f"{conf}:2", "NGINX_BINARY: hidden")}
    same = made.settings(nginx_binary=str(good)).settings
    assert unusable("hidden", same, nginx_binary=str(good)) == {}, "it serves: an upgrade is another matter"


@pytest.mark.real
@pytest.mark.parametrize(
    ("says", "wrong"),
    [
        ("echo registry github.com/docker/distribution 2.8.2+ds1", ["NGINX_BINARY"]),
        ("echo nginx version: openresty/1.21.4.1 >&2", ["REGISTRY_BINARY"]),
        ("echo 'apache 2.4'", ["NGINX_BINARY", "REGISTRY_BINARY"]),
        ("exec /bin/true", ["NGINX_BINARY", "REGISTRY_BINARY"]),
    ],
)
def test_what_calls_itself_something_else(host: Host, says: str, wrong: list[str]) -> None:
    """Seen: NGINX_BINARY=/bin/true in the environment was written to the file, and stayed in `status`."""
    program = host.paths.root / "program"
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    given = made.settings(nginx_binary=str(program), registry_binary=str(program)).settings
    found = programs.strangers(host, given, None)
    assert list(found) == wrong and all("program is not " in one.what and one.hint for one in found.values())
    assert programs.strangers(host, given, given) == programs.strangers(host, made.settings().settings, None) == {}


def test_what_is_tried_has_units_of_its_slot(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all slots, by which what serves is started again, stay as they are."""
    monkeypatch.setattr(hosts, "nginx", lambda *_: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda given: Path(given or "/usr/bin/registry"))

    def parts(**given: Any) -> Parts:
        return Parts(made.settings(**given), RegistryPart(root="/srv/images"))

    host.paths.units.mkdir(parents=True)
    host.paths.state.mkdir(parents=True)
    proven = units.render(host, parts())
    assert units.write(host, proven)
    own = host.paths.trial_units / "secure-registry-registry@b.service"
    assert units.prepare_slot(host, parts(registry_binary="/opt/registry"), "b")
    assert b"ExecStart=:/opt/registry serve" in own.read_bytes()
    assert {path: path.read_bytes() for path in proven} == proven
    assert not units.prepare_slot(host, parts(registry_binary="/opt/registry"), "b"), "nothing to read again"
    assert units.prepare_slot(host, parts(), "b") and not own.exists()
    assert units.prepare_slot(host, parts(registry_binary="/opt/registry"), "c")
    tried = {path: path.read_bytes() for path in host.paths.trial_units.iterdir()}
    assert not units.drop_slot(host, "b") and {path: path.read_bytes() for path in tried} == tried
    assert units.drop_slot(host, "c") and list(host.paths.trial_units.iterdir()) == []
    assert not units.drop_slot(host, "c")


class Manager(Systemd):
    """systemd that reads units when it is told, and knows them all."""

    def __init__(self) -> None:
        self.read = 0

    def call(self, method: str, *_: object, **__: object) -> None:
        assert method == "Reload"
        self.read += 1

    def job(self, method: str, unit: str, **_: object) -> bool:
        assert (method, unit) == ("StartUnit", units.MANIFESTS)
        return True

    def properties(self, name: str, *wanted: str) -> dict[str, object]:
        return {"LoadState": "loaded", "NeedDaemonReload": False}


@pytest.mark.promise("bad-programs")
def test_what_is_tried_keeps_its_units_while_what_is_proven_serves(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen, beside two busy loops: a start had what is proven serve while REGISTRY_BINARY=/bin/true was tried, and by
    that removed the unit of the slot in which it was. systemd started that slot again by the unit of all slots, so
    the program that was proven answered there: /bin/true was taken over, and after a reboot nothing answered."""
    monkeypatch.setattr(hosts, "nginx", lambda *_: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda given: Path(given or "/usr/bin/registry"))
    for folder in (host.paths.units, host.paths.state):
        folder.mkdir(parents=True)
    services, manager = UnitServices(host), Manager()
    services.__dict__["systemd"] = manager
    proven, tried = (Parts(made.settings(registry_binary=one), RegistryPart(root="/srv")) for one in ("", "/bin/true"))
    own = host.paths.trial_units / "secure-registry-registry@b.service"
    services.prepare(proven, "a")
    services.prepare_registry(tried, "b")
    services.prepare(proven, "a")
    assert b"ExecStart=:/bin/true serve" in own.read_bytes() and manager.read == 1
    services.prepare(tried, "b")
    assert not own.exists() and manager.read == 2


def test_a_trial_has_the_walls_of_nginx_and_nothing_of_its_work(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "nginx", lambda *_: Path("/usr/sbin/nginx"))
    lines = units.trial(host, ["/opt/a b", "-v"], 10).decode().splitlines()
    assert {"Type=oneshot", 'ExecStart=:"/opt/a b" -v', "ProtectHome=yes", "PrivateTmp=yes"} <= set(lines)
    keys = [line.partition("=")[0] for line in lines]
    assert not {"Restart", "PIDFile", "ExecReload", "RuntimeDirectory"} & set(keys)
    assert keys.count("ExecStart") == keys.count("Type") == 1
