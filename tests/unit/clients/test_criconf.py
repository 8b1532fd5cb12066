"""config.toml of containerd: what CRI makes of it, and that nothing is proposed with which it would not start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secreg_host.base.errors import BadInput, Note, Problem
from secreg_host.base.proxies import Proxies
from secreg_host.clients import criconf, trust_containerd
from secreg_host.clients.served import Endpoint, Served
from secreg_host.host.host import Host
from tests.unit.clients.test_trustcheck import CA, put

SERVED = Served((Endpoint("reg.example.test", 5000),), CA)
WORD = "reg.example.test:5000"
PLUGINS = [(1, "cri"), (2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.images")]


def notes(host: Host, *files: str) -> tuple[Problem, ...]:
    """What is said of config.toml, and of conf.d/0.toml, conf.d/1.toml ... that it may import."""
    put(host.paths.containerd / "config.toml", files[0].encode())
    for number, text in enumerate(files[1:]):
        put(host.paths.containerd / f"conf.d/{number}.toml", text.encode())
    return trust_containerd.notes(host.paths, SERVED)


@pytest.mark.promise("containerd-config")
@pytest.mark.parametrize(("version", "plugin"), PLUGINS)
def test_config_path_is_read_and_proposed_in_the_table_of_the_files_version(
    host: Host, version: int, plugin: str
) -> None:
    head = f"version = {version}\n" if version > 1 else "oom_score = 0\n"
    table = f"[plugins.'{plugin}'.registry]\n"
    directory = host.paths.containerd / "certs.d"
    assert notes(host, f"{head}{table}config_path = '/etc/other:{directory}'\n") == ()
    (note,) = notes(host, f"{head}{table}config_path = ''\n")
    assert isinstance(note, Note) and f'[plugins."{plugin}".registry] config_path = "{directory}"' in note.hint
    assert "version =" not in note.hint
    for other, wrong in PLUGINS:
        if other != version:
            (note,) = notes(host, f"{head}[plugins.'{wrong}'.registry]\nconfig_path = '{directory}'\n")
            assert isinstance(note, Note), "the table of another version"


def test_a_file_that_is_to_be_made_says_its_version(host: Host) -> None:
    """Without one it is of version 1, which has another table."""
    (note,) = trust_containerd.notes(host.paths, SERVED)
    assert "version = 2, [plugins." in note.hint and PLUGINS[1][1] in note.hint


@pytest.mark.promise("containerd-config")
@pytest.mark.parametrize(("version", "plugin"), PLUGINS)
def test_config_path_is_never_proposed_beside_mirrors(host: Host, version: int, plugin: str) -> None:
    """Seen: CRI does not start with both."""
    table = f"plugins.'{plugin}'.registry"
    old = [f"[{table}.mirrors.'docker.io']\nendpoint = []\n", f"[{table}.configs.'b:2'.tls]\nca_file = '/b'\n"]
    for text in old:
        (problem,) = notes(host, f"version = {version}\n{text}")
        assert not isinstance(problem, Note) and "leave config_path out" in problem.hint
        ca = host.paths.containerd / "certs.d" / WORD / "ca.crt"
        mine = f'[plugins."{plugin}".registry.configs."{WORD}".tls] ca_file = "{ca}"'
        assert mine in problem.hint and "config_path =" not in problem.hint
        assert notes(host, f"version = {version}\n{text}" + mine.replace("] ", "]\n") + "\n") == ()
        (problem,) = notes(host, f"version = {version}\n{text}[{table}]\nconfig_path = '/etc/certs.d'\n")
        assert "CRI does not start" in problem.what and "/etc/certs.d" in problem.hint


def test_what_is_imported_counts_too(host: Host) -> None:
    head, table = "version = 2\n", "plugins.'io.containerd.grpc.v1.cri'.registry"
    imports = f"imports = ['conf.d/*.toml', '{host.paths.containerd}/config.toml']\n{head}"
    given = f"{head}[{table}]\nconfig_path = '{host.paths.containerd}/certs.d'\n"
    assert notes(host, imports, given) == ()
    mirrors = f"{head}[{table}.mirrors.'docker.io']\nendpoint = []\n"
    (problem,) = notes(host, imports, given, mirrors)
    assert (problem.where, problem.what.rpartition(": ")[2]) == (
        f"{host.paths.containerd}/conf.d/1.toml",
        "CRI does not start",
    )


def test_of_a_containerd_without_kubernetes_nothing_is_said(host: Host) -> None:
    """As Docker's own package has it."""
    assert notes(host, 'disabled_plugins = ["cri"]\n') == ()


@pytest.mark.parametrize("text", ["not [ toml", "plugins = 3\n", "imports = 'a'\n", "[plugins.cri]\nregistry = []\n"])
def test_what_containerd_does_not_take_is_told(host: Host, text: str) -> None:
    (problem,) = notes(host, text)
    assert problem.hint and problem.where.endswith("config.toml")
    with pytest.raises(BadInput):
        criconf.read(host.paths.containerd / "config.toml")
    assert criconf.of(host.paths.containerd / "config.toml") == criconf.Cri()


def test_another_directory_of_cri_gets_the_files_too(host: Host) -> None:
    """It looks nowhere else, and to change that would take others' registries away."""
    theirs = host.paths.root / "etc/cri/certs.d"
    table = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry]\n"
    assert notes(host, f"{table}config_path = '{theirs}'\n") == ()
    wanted = trust_containerd.wants(host.paths, SERVED, insecure=False)
    assert {path.parent.parent for path in wanted} == {theirs, host.paths.containerd / "certs.d"}
    for path, data in wanted.items():
        put(path, data)
    put(host.paths.containerd / "certs.d" / WORD / "hosts.toml", b"")
    rule = trust_containerd.rules(host.paths, Proxies())(SERVED.endpoints[0], WORD)
    assert set(rule.cas) == {CA}, "that is where CRI looks"
    assert replace(SERVED, ca=None) and trust_containerd.roots(host.paths)[1] == theirs
