"""The units that setup renders are what systemd can read: it passes over what it can't, and the sandbox has a hole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from secreg_host.base.process import Account
from secreg_host.host import host as hosts
from secreg_host.host import views
from secreg_host.host.host import Accounts, Host
from secreg_host.images.marker import Store
from secreg_host.services import units
from secreg_host.wanted.parts.part import Parts
from secreg_host.wanted.parts.registry import RegistryPart
from tests import made

CHECKOUT = Path(__file__).resolve().parents[3]
LINE = re.compile(r"#.*|\[(Unit|Service|Socket|Install)\]|[A-Z][A-Za-z]+=.*|")


@pytest.mark.parametrize("storage", ["/srv/images", None])
def test_every_line_is_one_of_a_unit(host: Host, monkeypatch: pytest.MonkeyPatch, storage: str | None) -> None:
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda _: Path("/usr/bin/registry"))
    parts = Parts(made.settings(), RegistryPart(root=storage))
    found = units.render(host, parts)
    assert len(found) == (6 if storage else 5)
    for path, data in found.items():
        wrong = [line for line in data.decode().splitlines() if not LINE.fullmatch(line)]
        assert wrong == [], path.name
        walled = b"ProtectSystem=strict" in data
        is_one = path.suffix == ".service"
        assert (b"NoNewPrivileges=yes" in data) is is_one and walled is (is_one and "images@" not in path.name), (
            path.name
        )


def test_odd_paths_and_programs_are_one_word_each(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/opt/ng%inx"))
    monkeypatch.setattr(hosts, "registry", lambda _: Path("/opt/%n/registry"))
    parts = Parts(made.settings(), RegistryPart(root="/srv/a b%n'\""))
    lines = {path.name: data.decode().splitlines() for path, data in units.render(host, parts).items()}
    registry = lines["secure-registry-registry@.service"]
    for key in ("RequiresMountsFor", "ReadWritePaths"):
        assert f"{key}=\"/srv/a b%%n'\"'\"'" in registry
    slot = f"{host.paths.lib}/slots/%i/docker-registry.yml"
    assert f'ExecStart=:"/opt/%%n/registry" serve {slot}' in registry
    assert f"Environment=REGISTRY_HTTP_ADDR={host.paths.run}/registry-%i/registry.sock" in registry
    images = lines["secure-registry-images@.service"]
    assert "RequiresMountsFor=\"/srv/a b%%n'\"'\"'" in images
    view = f"{host.paths.images('new')}/%i"
    shown = host.paths.images("%i")
    mounted = f'bind,{views.OPTIONS} "/srv/a b%%n\'\\"" {view}/bound'
    assert f"ExecStart=:mount -o {mounted}" in images
    assert f"ExecStopPost=-:umount --lazy --quiet --recursive {view} {shown}" in images
    [start] = [line for line in lines["secure-registry-nginx.service"] if line.startswith("ExecStart=")]
    assert start.startswith('ExecStart=:"/opt/ng%%inx" -e stderr')


def test_a_registry_waits_for_its_mounts_and_its_marker(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda _: Path("/usr/bin/registry"))

    def lines(store: Store) -> list[str]:
        part = RegistryPart(root="/srv/link", real="/data/a b", store=store)
        rendered = units.render(host, Parts(made.settings(), part))
        for name, data in ((path.name, data.decode()) for path, data in rendered.items()):
            wanted = 'RequiresMountsFor=/srv/link\nRequiresMountsFor="/data/a b"\n'
            assert (wanted in data) == ("@." in name) and ("ExecCondition" in data) <= ("registry@" in name), name
        return rendered[host.paths.units / units.unit_of("registry@")].decode().splitlines()

    assert f'ExecCondition=:test -f "/data/a b/.secure-registry-store-{"1" * 32}"' in lines(Store("1" * 32, "/data"))
    assert f'ExecCondition=:test ! -L "/data/a b/.secure-registry-store-{"1" * 32}"' in lines(Store("1" * 32, "/data"))
    assert not any(line.startswith("ExecCondition") for line in lines(Store())), "there is none where it can't be put"


def test_what_ends_the_service_ends_no_socket() -> None:
    """PartOf= has them end and made anew at a restart: a stop in the middle of that is told as a failure, and one that
    is waited for holds up the end of the host, where sockets end after all services (systemd.socket(5))."""
    ended = re.findall(r"(?m)^ExecStop=.*$", (CHECKOUT / "units/secure-registry.service").read_text())[0].split()
    assert not [name for name in ended if name.endswith(".socket")]
    sockets = [path for folder in ("units", "templates/units") for path in (CHECKOUT / folder).glob("*.socket*")]
    assert len(sockets) == 3 and all("PartOf=secure-registry.service\n" in path.read_text() for path in sockets)


def test_what_runs_apply_runs_in_one_sandbox() -> None:
    """Two units start the same program; a wall of one that the other lacks would be a mistake."""
    folder = CHECKOUT / "units"
    walls = []
    for name in ("secure-registry.service", "secure-registry-apply.service"):
        text = (folder / name).read_text()
        lines = text[text.index("# root: ") :].partition("\n[Install]")[0].splitlines()
        walls.append([line for line in lines if "=" in line and not line.startswith(("#", "CPUWeight="))])
    assert len(walls[0]) > 25
    assert walls[0] == walls[1]


def test_what_frees_space_has_less_than_what_serves() -> None:
    """The idle class counts within one control group only, and each unit is one: pulls had 0.82 of their rate beside
    it. (No other unit of ours has less than 100 but the one that checks passwords.)"""
    lines = (CHECKOUT / "units/secure-registry-gc.service").read_text().splitlines()
    assert {"CPUWeight=10", "IOWeight=10", "CPUSchedulingPolicy=idle", "IOSchedulingClass=idle"} <= set(lines)


@pytest.mark.promise("apply-socket")
def test_only_root_can_ask_for_an_apply() -> None:
    lines = (CHECKOUT / "units/secure-registry-apply.socket").read_text().splitlines()
    assert "SocketMode=0600" in lines, "it is 0666 by default (systemd.socket(5))"
    assert not [line for line in lines if line.startswith(("SocketUser=", "SocketGroup=", "ListenDatagram="))]
    assert sum(line.startswith("ListenStream=") for line in lines) == 1


WORDS = {
    "without any capability": 0,
    "with two capabilities": 2,
    "five capabilities": 5,
    "seven capabilities": 7,
    "nine capabilities": 9,
}


@pytest.mark.promise("guessing-holds-up-nobody", "remembered-passwords", "who-runs-as-whom")
def test_each_unit_runs_as_security_md_says(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user, how many capabilities, whether there is a network; and that what holds passwords reaches no disk."""
    monkeypatch.setattr(hosts, "nginx", lambda _: Path("/usr/sbin/nginx"))
    monkeypatch.setattr(hosts, "registry", lambda _: Path("/usr/bin/registry"))
    accounts = Accounts(*(Account(f"secure-registry{end}", 1, 1) for end in ("-nginx", "-auth", "")))
    rendered = units.render(replace(host, accounts=accounts), Parts(made.settings(), RegistryPart(root="/srv/images")))
    texts = {path.name: data.decode() for path, data in rendered.items() if path.suffix == ".service"}
    texts |= {path.name: path.read_text() for path in (CHECKOUT / "units").glob("*.service")}
    table = (CHECKOUT / "SECURITY.md").read_text().partition("| unit | user |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        named, user, *_, network = (cell.strip() for cell in row.strip("|").split(" | "))
        for name in re.findall(r"`([^`]+)`", named):
            text = texts.pop(f"{name.replace('…', 'secure-registry')}.service")
            assert re.findall(r"(?m)^User=(.*)$", text) == ([] if user.startswith("root") else [user.strip("`")]), name
            capabilities = " ".join(re.findall(r"(?m)^CapabilityBoundingSet=(.*)$", text)).split()
            only = re.findall(r"`(CAP_\w+)` only", network)
            count = next((number for word, number in WORDS.items() if word in user), len(only))
            assert len(capabilities) == count and set(only) <= set(capabilities), (name, capabilities)
            walled = {"PrivateNetwork=yes", "RestrictAddressFamilies=none"} & set(text.splitlines())
            denied = "IPAddressDeny=any" in text.splitlines()
            assert (bool(walled), denied) == (network.startswith("none"),) * 2, name
            assert name not in ("…-nginx", "…-auth", "…-queue") or "MemorySwapMax=0" in text.splitlines(), name
            assert name != "…-auth" or re.search(r"(?m)^CPUWeight=[1-9]?\d$", text), "100 is everybody's"
    assert texts == {}
