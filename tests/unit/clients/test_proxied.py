"""dockerd's proxies: what is said when it would ask them for our names; it is asked for them once for each run."""

from __future__ import annotations

from typing import Any

import pytest

from secreg_host.base.errors import SecregError
from secreg_host.clients import proxied, trust_docker
from secreg_host.clients.docker import dockerinfo, dockerproxies
from secreg_host.clients.docker.unit import Unit
from secreg_host.clients.kept import Kept
from secreg_host.clients.trust_docker import Docker
from secreg_host.host.host import Host
from tests.unit.clients.test_trust import generation

PROXY = "http://me:secret@proxy.test:3128"


class Fake:
    """systemd with a dockerd that has a proxy."""

    def __init__(self, host: Host) -> None:
        self.run, self.state = "1", "active"
        self.drop_in = host.paths.root / "etc/systemd/system/docker.service.d/proxy.conf"

    def unit(self, name: str) -> dict[str, Any]:
        if name != dockerinfo.UNIT:
            return {}
        found = {"LoadState": "loaded", "ActiveState": self.state, "InvocationID": self.run}
        return found | {"ExecStart": [("dockerd", ["dockerd"])], "DropInPaths": [str(self.drop_in)]}

    def properties(self, name: str, *wanted: str) -> dict[str, Any]:
        return {key: self.unit(name)[key] for key in wanted}

    def call(self, method: str, *args: Any) -> Any:
        raise AssertionError(method)


@pytest.mark.promise("docker-proxy")
def test_a_proxy_of_dockerd_is_told_until_it_runs_without(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd: Any = Fake(host)
    host.paths.docker.mkdir(parents=True)
    systemd.drop_in.parent.mkdir(parents=True)
    systemd.drop_in.write_text(f"[Service]\nEnvironment=HTTPS_PROXY={PROXY}\n")
    said: list[dict[str, str]] = [{"HttpsProxy": PROXY, "NoProxy": "192.0.2.1"}]
    asked: list[object] = []

    def info(path: object, seconds: float = 0) -> dict[str, str]:
        asked.append(path)
        if not said:
            raise SecregError("nobody answers")
        return said[-1]

    monkeypatch.setattr(dockerinfo, "info", info)

    def follow(mode: str = "ca") -> list[str]:
        docker = Docker(host.paths, generation(mode=mode), systemd, Kept(host.paths))
        return [str(problem) for problem in docker.follow() if "snap" not in problem.what]

    first = follow()
    (told,) = first
    assert "goes to reg.example.org and 1 more through the proxy http://xxxxx@proxy.test:3128" in told
    assert f"add to NO_PROXY in {systemd.drop_in}: reg.example.org,2001:db8::1;" in told and "secret" not in told
    assert follow() == first and len(asked) == 1, "what it has taken over is known"
    assert not dockerproxies.unheard(host.paths, systemd) and len(asked) == 1, "nor does a look ask for it"
    (host.paths.docker / "daemon.json").write_text('{"proxies": {"https-proxy": "x"}}')
    assert f'add to "no-proxy" below "proxies" in {host.paths.docker}/daemon.json: ' in follow()[0]
    (host.paths.docker / "daemon.json").unlink()
    systemd.run, kept = "2", said.pop()
    assert follow() == first, "it does not answer"
    with pytest.raises(SecregError):
        dockerproxies.unheard(host.paths, systemd)
    said.append({**kept, "NoProxy": "192.0.2.1,example.org,2001:db8::1"})
    assert dockerproxies.unheard(host.paths, systemd), "an apply is to hear it"
    assert follow() == [] and len(asked) == 5
    assert not dockerproxies.unheard(host.paths, systemd)
    systemd.run, systemd.state = "3", "inactive"
    assert follow() == [] and not dockerproxies.unheard(host.paths, systemd) and len(asked) == 5
    assert trust_docker.found(host.paths)
    systemd.state, said[-1] = "active", kept
    assert follow(mode="none") == [] and not dockerproxies.unheard(host.paths, systemd), "nobody wants to know"
    said.clear()
    assert follow() == []
    said.append(kept)
    assert dockerproxies.unheard(host.paths, systemd) and follow() == first, "it was never asked"


def test_what_counts_last_is_named(host: Host) -> None:
    """Of several files the last one counts (systemd.unit(5)): what is added to the first has no effect."""
    etc, own = (host.paths.root / name for name in ("docker.service", "docker.service.d/proxy.conf"))
    own.parent.mkdir(parents=True)
    for path in (etc, own):
        path.write_text("[Service]\nEnvironment=NO_PROXY=a\n")
    found = Unit(("dockerd",), places=(etc, own))
    assert f"add to NO_PROXY in {own}: " in proxied.place(dockerinfo.UNIT, found)
    own.write_text("# NO_PROXY=a\n")
    assert f"add to NO_PROXY in {etc}: " in proxied.place(dockerinfo.UNIT, found)
