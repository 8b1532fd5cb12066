"""Docker, Podman, Skopeo and containerd of Debian, as they trust the registry: one host from a Docker that is not
there yet to the removal of the package, and another host that is told with `trust show`. The tests need their order.

A container keeps its process through all of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secreg_host.formats.opensslcnf import Request
from secreg_host.pki import certs
from tests.booted import clients
from tests.booted.registry import ETC, Registry
from tests.hosts import tree
from tests.hosts.commands import Result
from tests.hosts.machine import Machine
from tests.hosts.terminal import answering
from tests.real.certmaker import CA, SERVER, Maker
from tests.unit.clients.test_docker import CORPUS

NAME, SIX = "registry.example.test", "six.example.test"
"""Names of the registry; the second leads to its IPv6 address only."""
ADDRESS_6, OTHER_6 = "fd00:ec::10", "fd00:ec::11"
DAEMON_JSON, DROP_IN = "/etc/docker/daemon.json", "/etc/systemd/system/docker.service.d/test.conf"
DOCKERD = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock"


@dataclass
class Host(Registry):
    """The registry's host; container: the process of a container that runs in its dockerd."""

    container: str = ""

    @property
    def addresses(self) -> list[str]:
        """Every way to write it, on port 443 and on another one."""
        hosts = [NAME, SIX, self.machine.address]
        written = [f"{host}{port}" for host in hosts for port in ("", ":443", ":5443")]
        return [*written, f"[{ADDRESS_6}]:443", f"[{ADDRESS_6}]:5443"]

    def failing(self, machine: Machine) -> list[str]:
        """What went wrong when every client of `machine` logged in, pushed and pulled: Docker by every address, the
        others by some that are as different."""
        some = [NAME, f"{NAME}:5443", f"{self.machine.address}:443", f"{SIX}:5443", f"[{ADDRESS_6}]:443"]
        docker, *others = clients.of(machine, self.password)
        said = [docker.works(address) for address in self.addresses]
        said += [client.works(address) for client in others for address in some]
        return [wrong for wrong in said if wrong]

    @property
    def clients(self) -> list[clients.Client]:
        return clients.of(self.machine, self.password)

    def shown(self) -> set[str]:
        """The insecure registries that `docker info` shows."""
        return shown(self.machine)

    def mode(self, mode: str) -> None:
        self.machine.run("sed", "-i", f"s/^#\\?DOCKER_TRUST=.*/DOCKER_TRUST={mode}/", f"{ETC}/secure-registry.conf")
        done = self.command("reload")
        assert done.returncode == 0, done.stderr

    def trust(self, *argv: str, code: int = 0) -> Result:
        done = self.command("trust", *argv)
        assert done.returncode == code, done.stderr
        return done

    def restart_docker(self, *, code: int | None = 0) -> None:
        """As somebody does who edited its unit; tests do it more often than systemd lets anybody."""
        said = "systemctl daemon-reload; systemctl reset-failed docker; systemctl restart docker"
        done = self.machine.run("sh", "-c", said, check=False)
        assert code is None or done.returncode == code, done.stderr

    def start_container(self) -> None:
        self.machine.run("docker", "rm", "--force", "idle", check=False)
        self.container = clients.run_container(self.machine, "idle")


def shown(machine: Machine) -> set[str]:
    said = json.loads(machine.run("docker", "info", "--format={{json .RegistryConfig}}").stdout)
    return {name for name, index in said["IndexConfigs"].items() if not index["Secure"]}


@pytest.fixture(scope="module")
def clients_tree(release: str) -> Path:
    return tree.base(release, "clients")


def join(machine: Machine, address: str, registry: str) -> None:
    """An IPv6 address, and the registry's names."""
    machine.run("ip", "address", "replace", f"{address}/64", "dev", "eth0", "nodad")
    machine.run("sh", "-c", f"printf '%s\\n' '{registry} {NAME}' '{ADDRESS_6} {SIX}' >> /etc/hosts")


@pytest.fixture(scope="module")
def host(clients_tree: Path, deb: Path) -> Iterator[Host]:
    """A host with the package installed, but not started."""
    with Machine.boot(clients_tree, "host") as machine:
        join(machine, ADDRESS_6, machine.address)
        machine.install(deb)
        yield Host(machine, expected=[r"pam_env"])


@pytest.fixture(scope="module")
def other(clients_tree: Path) -> Iterator[Machine]:
    """A host with clients alone, that does not know the registry's names."""
    with Machine.boot(clients_tree, "other") as machine:
        clients.prepare(machine)
        yield machine


@pytest.fixture(autouse=True)
def container(host: Host) -> Iterator[None]:
    """The container goes on through every test."""
    yield
    if host.container:
        assert clients.pid(host.machine, "idle") == host.container


@pytest.mark.promise("docker-of-this-host")
def test_docker_that_is_installed_later_is_told(host: Host) -> None:
    machine = host.machine
    machine.run("apt-get", "remove", "--yes", "docker.io")
    settings = {"SERVER_NAME": f"{NAME} {SIX}", "SERVER_IP": f"{machine.address} {ADDRESS_6}"}
    assert machine.run("secure-registry", "setup", env=settings).stderr == ""
    assert host.systemctl("enable", "--now", "secure-registry").returncode == 0
    assert not machine.exists(DAEMON_JSON) and not machine.exists("/etc/docker/certs.d")
    assert host.unexpected() == []
    machine.run("apt-get", "install", "--yes", "--no-install-recommends", "docker.io")
    machine.wait_unit("docker.service")
    machine.wait_for("its entries", lambda: {NAME, f"{SIX}:443", machine.address} <= host.shown())
    assert clients.Docker(machine, host.password).login(NAME) is None
    clients.prepare(machine)
    host.start_container()


GATE = "/run/go"


def listening_on(host: Host, port: int) -> None:
    """An edit by which everything is reached by another port, once that serves."""
    host.edit("nginx.conf", "listen 443 ssl;", f"listen 443 ssl;\n        listen {port} ssl;")
    machine = host.machine
    ask = ("curl", "-sk", f"https://127.0.0.1:{port}/ca.crt")
    machine.wait_for(f"port {port}", lambda: machine.run(*ask, check=False).returncode == 0)


def reloads(host: Host, said: str = "") -> float:
    """How many seconds a few applies take, each of which says `said` of dockerd ("": nothing at all)."""
    began = time.monotonic()
    for _ in range(4):
        done = host.command("reload")
        assert done.returncode == 0, done.stderr
        assert f"pending: docker.service: {said}" in done.stderr if said else done.stderr == "", done.stderr
    return time.monotonic() - began


def test_edits_do_not_wait_for_docker(host: Host) -> None:
    """One that starts or hangs; as soon as it is well it is told, by itself. What it has taken over needs no answer.
    Who waited would do so for 20 s in each apply, or 5: more than applies take on this machine, however slow it is."""
    machine = host.machine
    assert host.command("reload").returncode == 0
    usual = reloads(host)
    before = machine.read(f"{ETC}/nginx.conf")
    machine.write(DROP_IN, f"[Service]\nExecStartPre=/bin/sh -c 'until [ -e {GATE} ]; do sleep 0.1; done'\n")
    machine.run("sh", "-c", "systemctl daemon-reload; systemctl restart --no-block docker")
    machine.wait_for("its start", lambda: machine.unit_state("docker.service") == "activating")
    assert host.command("reload").stderr == ""
    listening_on(host, 7443)
    assert reloads(host, "is starting") < usual + 4 * 20
    machine.run("sh", "-c", f"touch {GATE}")
    machine.wait_unit("docker.service")
    machine.wait_for("its entries", lambda: f"{NAME}:7443" in host.shown(), 90)
    machine.wait_for("that this was seen", lambda: "pending" not in host.command("status").stdout, 90)

    pid = host.pid("docker")
    machine.run("kill", "-STOP", str(pid))
    assert host.command("reload").stderr == ""
    listening_on(host, 8443)
    assert reloads(host, "does not answer") < usual + 4 * 5
    assert "does not answer" in host.command("status").stdout
    machine.run("kill", "-CONT", str(pid))
    machine.wait_for("its entries", lambda: f"{NAME}:8443" in host.shown(), 90)
    machine.wait_for("nothing pending", lambda: "pending" not in host.command("status").stdout, 90)

    host.put("nginx.conf", before)
    machine.wait_for("the end of them", lambda: not {f"{NAME}:7443", f"{NAME}:8443"} & host.shown())
    machine.run("sh", "-c", f"rm {DROP_IN}; systemctl daemon-reload")
    host.start_container()


@pytest.mark.promise("containers-go-on", "docker-of-this-host")
def test_another_port_is_told_by_itself(host: Host) -> None:
    """An edit of nginx.conf: the watchdog lets it serve, and Docker hears of it without a restart."""
    host.edit(
        "nginx.conf", "listen 443 ssl;", "listen 443 ssl;\n        listen 5443 ssl;\n        listen [::]:5443 ssl;"
    )
    host.machine.wait_for("its entries", lambda: {f"{NAME}:5443", f"[{ADDRESS_6}]:5443"} <= host.shown())


@pytest.mark.promise("containers-go-on", "docker-of-this-host", "docker-trust", "names-that-work")
def test_insecure(host: Host) -> None:
    host.trust("install", "--insecure", "podman", "containerd")
    assert set(host.addresses) <= host.shown()
    assert host.failing(host.machine) == []
    host.trust("check")
    host.trust("remove", "podman", "containerd")
    assert not host.machine.exists(clients.CERTS_D)


@pytest.mark.promise("containers-go-on", "docker-trust", "trust-check")
def test_none(host: Host) -> None:
    host.mode("none")
    assert host.shown() == set() and not host.machine.exists(DAEMON_JSON)
    for client in host.clients:
        client.forget()
        for address in (NAME, f"{host.machine.address}:5443", f"[{ADDRESS_6}]:443"):
            said = client.pull(address) if isinstance(client, clients.Ctr) else client.login(address)
            assert said and "certificate signed by unknown authority" in said, (str(client), address)
    said = host.trust("check", "docker", "podman", "containerd", code=3).stdout
    for name in ("podman", "containerd"):
        assert f"{name:<11} {NAME:<32} fails: unable to get local issuer certificate" in said, said
    [of_docker] = [line for line in said.splitlines() if line.startswith(f"docker      {NAME} ")]
    assert "fails: " in of_docker and "x509: certificate signed by unknown authority" in of_docker, "as it says itself"


@pytest.mark.promise("containers-go-on", "docker-trust", "names-that-work")
def test_ca(host: Host) -> None:
    host.mode("ca")
    host.trust("install", "podman", "containerd")
    assert host.shown() == set() and not host.machine.exists(DAEMON_JSON)
    assert host.failing(host.machine) == []
    said = [line.split(maxsplit=2) for line in host.trust("check").stdout.splitlines()]
    verified = {(client, word) for client, word, how in said if how == "accepts it (its own CA and the system's)"}
    assert {(name, word) for name in ("docker", "podman", "containerd") for word in host.addresses} <= verified


def test_docker_judges_certificates_as_we_do(host: Host, tmp_path: Path) -> None:
    """What `trust` gives it does for two tiers; more cases, by more clients: tests/real/test_clientrules.py."""
    machine, docker, pair = host.machine, clients.Docker(host.machine, host.password), ("crt", "key")
    before = {name: machine.read(f"{ETC}/{name}") for name in (*(f"docker-registry.{half}" for half in pair), "ca.crt")}
    maker = Maker(tmp_path)
    root = maker.make(None, *CA, common="root", ends=900)
    issuing = maker.make(root, *CA, common="issuing", ends=800)
    names = f"subjectAltName = DNS:{NAME}, DNS:{SIX}, IP:{machine.address}, IP:{ADDRESS_6}"
    ours = [names if one.startswith("subjectAltName") else one for one in SERVER]

    def brought(*extensions: str, key: str = "P-256") -> str:
        made = maker.make(issuing, *extensions, common=NAME, key=key)
        host.put("docker-registry.key", made.key.decode())
        host.put("docker-registry.crt", (made.crt + issuing.crt).decode())
        return host.command("reload").stdout + host.command("status").stdout

    host.put("ca.crt", root.crt.decode())
    for key in ("P-256", "Ed25519"):
        assert "rejected" not in brought(*ours, key=key) and docker.login(NAME) is None
    said = brought(*(one for one in ours if one != names))
    assert "rejected" in said and "no name and no address" in said and docker.login(NAME) is None
    assert "clients in Go" in brought(*ours, key="RSA-PSS")
    refused = docker.login(NAME)
    assert refused and ("x509" in refused or "tls" in refused), refused
    for name, text in before.items():
        host.put(name, text)
    assert host.command("reload").returncode == 0 and docker.login(NAME) is None


@pytest.mark.promise("names-that-work", "script-checks-the-ca")
def test_another_machine_by_a_script_and_by_one_line(host: Host, other: Machine) -> None:
    """By the address at first, for it knows none of the names."""
    script, line = host.trust("show").stdout, host.trust("show", "--line").stdout
    fingerprint = script.partition("fingerprint=")[2].split()[0]
    address = host.machine.address

    def pasted(text: str, *answers: tuple[str, str]) -> str:
        return answering(other.command("bash", "-c", text), *answers)

    before = other.run("find", "/etc").stdout
    for wrong in (fingerprint[:-1] + ("1" if fingerprint[-1] == "0" else "0"), "0" * 64):
        done = other.run("sh", input=script.replace(fingerprint, wrong), check=False)
        assert done.returncode == 1 and f"https://{address}/ca.crt is not the certificate that was" in done.stderr
        assert "nothing is changed" in done.stderr
        said = pasted(line.replace(fingerprint, wrong).rstrip() + " || echo it failed")
        assert "not the certificate that was expected" in said and "it failed" in said
    assert other.run("find", "/etc").stdout == before
    docker = clients.Docker(other, host.password)
    assert "unknown authority" in (docker.login(address) or "")

    assert "Login Succeeded" in pasted(line, ("Username", "docker"), ("Password", host.password))
    assert docker.works(address) is None
    docker.forget()
    other.run("rm", "-r", "/etc/docker/certs.d")

    join(other, OTHER_6, address)
    said = other.run("sh", input=script).stdout
    assert f"now log in: docker login {NAME}" in said, said
    # Go keeps /etc/hosts for five seconds
    other.wait_for("dockerd to know the name", lambda: "lookup" not in (docker.login(NAME) or ""))
    assert host.failing(other) == []
    assert shown(other) == set() and not other.exists(DAEMON_JSON)


REFUSED = {
    "not JSON": ({DAEMON_JSON: '{\n  "debug": true,\n}\n'}, "", f"{DAEMON_JSON}:3: is not JSON"),
    "a symlink": ({}, f"ln -s elsewhere.json {DAEMON_JSON}", "is a symlink to elsewhere.json"),
    "read-only": (
        {DAEMON_JSON: "{}"},
        "mount --bind /etc/docker /etc/docker && mount -o remount,ro,bind /etc/docker",
        "Read-only file system",
    ),
    "an option that dockerd does not know": (
        {DAEMON_JSON: '{"no-such-option": true}'},
        "",
        "match any configuration option: no-such-option; so the change is undone",
    ),
    "the flag in a drop-in": (
        {DROP_IN: f"[Service]\nExecStart=\nExecStart={DOCKERD} --insecure-registry theirs:1\n"},
        "systemctl daemon-reload",
        "docker.service: has the flag --insecure-registry",
    ),
    "a drop-in that systemd has not read": (
        {DROP_IN: f"[Service]\nExecStart=\nExecStart={DOCKERD} --insecure-registry theirs:1\n"},
        "",
        "systemctl daemon-reload; then",
    ),
    "the flag and a list": (
        {
            "/etc/default/docker": "DOCKER_OPTS='--insecure-registry theirs:1'\n",
            DAEMON_JSON: '{"insecure-registries": []}',
        },
        "",
        "dockerd does not start with both this list and the flag",
    ),
}
"""Files, a command, and what is said: dockerd and its files are left as they are."""


@pytest.mark.promise("daemon-json-left-alone")
def test_what_could_break_docker_is_refused(host: Host) -> None:
    machine = host.machine
    host.mode("insecure")
    host.trust("remove", "docker")
    machine.run("cp", "/etc/default/docker", "/root/default")
    for name, (given, command, said) in REFUSED.items():
        for path, text in given.items():
            machine.write(path, text)
        machine.run("sh", "-c", command or "true")
        done = host.trust("install", "docker", code=3)
        assert said in done.stderr and "-> " in done.stderr, (name, done.stderr)
        assert {path: machine.read(path) for path in given} == given, name
        assert host.shown() == set(), name
        assert machine.unit_state("docker.service") == "active"
        host.trust("remove", "docker")
        machine.run("umount", "/etc/docker", check=False)
        machine.run("rm", "-f", DAEMON_JSON, DROP_IN)
        machine.run("cp", "/root/default", "/etc/default/docker")
        machine.run("systemctl", "daemon-reload")
    assert machine.run("find", "/etc/docker", "-name", "*daemon*", "-o", "-name", "certs.d").stdout == ""


def test_dockers_of_other_kinds_are_named(host: Host) -> None:
    machine = host.machine
    unit = "/etc/systemd/system/snap.docker.dockerd.service"
    machine.write(unit, "[Service]\nExecStart=/bin/true\n")
    machine.run("sh", "-c", "mkdir -p /run/user/1000 && touch /run/user/1000/docker.sock; systemctl daemon-reload")
    said = host.trust("install", "docker", code=3).stderr
    assert "Docker is a snap, which is not edited" in said
    assert "/run/user/1000/docker.sock: a rootless Docker" in said
    machine.run("sh", "-c", f"rm -r {unit} /run/user/1000; systemctl daemon-reload")
    assert NAME in host.shown()
    host.trust("remove", "docker")


FOREIGN = """\
{
\t"registry-mirrors": ["https://mirror.example.test"],
\t"insecure-registries": [ "theirs.example.test:5000" ],
\t"log-level":"info"
}"""


@pytest.mark.promise("daemon-json-bytes")
def test_a_daemon_json_of_somebody_else_comes_back(host: Host) -> None:
    machine = host.machine
    machine.write(DAEMON_JSON, FOREIGN, mode=0o640)
    machine.run("chown", "nobody:adm", DAEMON_JSON)
    before = machine.run("stat", "-c", "%a %U %G", DAEMON_JSON).stdout
    host.trust("install", "docker")
    assert {"theirs.example.test:5000", *host.addresses} <= host.shown()
    assert machine.run("stat", "-c", "%a %U %G", DAEMON_JSON).stdout == before
    assert machine.read(DAEMON_JSON).startswith(FOREIGN[: FOREIGN.index(" ],")] + ', "')
    assert machine.read(DAEMON_JSON).endswith(FOREIGN[FOREIGN.index(" ],") :])
    assert machine.read("/var/lib/secure-registry/state/backups/daemon.json") == FOREIGN
    host.trust("remove", "docker")
    assert machine.read(DAEMON_JSON) == FOREIGN
    assert machine.run("stat", "-c", "%a %U %G", DAEMON_JSON).stdout == before
    assert host.shown() == {"theirs.example.test:5000"}
    host.trust("install", "docker")


@pytest.mark.promise("public-certificates")
def test_a_publicly_trusted_certificate_drops_the_entries(host: Host) -> None:
    machine = host.machine
    now = datetime.now(UTC)
    ca = certs.make_ca([NAME], [], now, "Public", "public")
    request = Request((("CN", NAME),), (NAME,), (), ("digitalSignature",), ("serverAuth",))
    pair = certs.issue(ca, request, "P-256", 90, now)
    machine.write("/usr/local/share/ca-certificates/public.crt", ca.crt.decode())
    machine.run("update-ca-certificates")
    host.put("docker-registry.crt", pair.crt.decode())
    host.put("docker-registry.key", pair.key.decode())
    machine.wait_for("the end of the entries", lambda: host.shown() == {"theirs.example.test:5000"})
    assert machine.read(DAEMON_JSON) == FOREIGN
    assert host.command("gencert").returncode == 2, "it is not ours"
    assert host.command("gencert", "--force").returncode == 0
    assert set(host.addresses) <= host.shown()
    machine.run("sh", "-c", "rm /usr/local/share/ca-certificates/public.crt && update-ca-certificates --fresh")


@pytest.mark.promise("trust-remove")
def test_uninstall_and_removal_take_out_only_what_we_put_in(host: Host) -> None:
    machine = host.machine
    host.trust("remove")
    theirs = "/etc/containers/certs.d/theirs.example.test/ca.crt"
    machine.write(theirs, "theirs\n")
    folders = "/etc/docker /etc/containers /etc/containerd /etc/ssl/certs /usr/local/share/ca-certificates"
    digests = f"find {folders} | sort; find {folders} -type f | sort | xargs sha256sum"
    before = machine.run("sh", "-c", digests).stdout
    for remove in (("secure-registry", "uninstall"), ("apt-get", "remove", "--yes", "secure-registry")):
        host.systemctl("enable", "--now", "secure-registry")
        host.trust("install", "docker", "podman", "containerd", "system")
        assert set(host.addresses) <= host.shown()
        assert machine.exists("/etc/ssl/certs/secure-registry.pem")
        for word in (SIX, "localhost", *host.addresses):  # a store that curl knows is enough for it
            assert machine.run("curl", "-sS", f"https://{word}/ca.crt").stdout == machine.read(f"{ETC}/ca.crt"), word
        machine.run(*remove)
        now = machine.run("sh", "-c", digests).stdout
        assert sorted(set(now.splitlines()) ^ set(before.splitlines())) == [], remove
        assert host.shown() == {"theirs.example.test:5000"}
        assert clients.pid(machine, "idle") == host.container


def test_flags_in_the_engines_own_files(host: Host, deb: Path) -> None:
    """/etc/default/docker of Debian, /etc/sysconfig/docker of Red Hat. These are read when dockerd starts."""
    machine = host.machine
    machine.install(deb)
    machine.run("rm", DAEMON_JSON)
    host.systemctl("start", "secure-registry")
    cases = {
        "/etc/default/docker": ("DOCKER_OPTS='--insecure-registry theirs:1'\n", "$DOCKER_OPTS"),
        "/etc/sysconfig/docker": ("OPTIONS=\nINSECURE_REGISTRY='--insecure-registry theirs:1'\n", "$INSECURE_REGISTRY"),
    }
    for path, (text, variable) in cases.items():
        host.trust("remove", "docker")
        machine.write(path, text)
        machine.write(
            DROP_IN,
            f"[Service]\nEnvironmentFile=\nEnvironmentFile=-{path}\nExecStart=\nExecStart={DOCKERD} {variable}\n",
        )
        machine.run("systemctl", "daemon-reload")
        done = host.trust("install", "docker")
        assert f"{path}: is changed; dockerd reads it only when it is restarted" in done.stderr
        assert not machine.exists(DAEMON_JSON)
        assert f"--insecure-registry theirs:1 --insecure-registry {NAME} " in machine.read(path)
        machine.run("systemctl", "restart", "docker")
        assert {"theirs:1", *host.addresses} <= host.shown()
        assert clients.Docker(machine, host.password).login(f"{SIX}:5443") is None
        host.start_container()
        host.trust("remove", "docker")
        assert machine.read(path) == text


FLAG = f"[Service]\nExecStart=\nExecStart={DOCKERD} --insecure-registry theirs:1\n"


@pytest.mark.promise("docker-is-followed")
def test_what_others_do_to_docker_is_followed(host: Host) -> None:
    """Without anybody's reload of ours, and without a dockerd that stays down."""
    machine = host.machine

    def listed() -> bool:
        return machine.exists(DAEMON_JSON) and NAME in machine.read(DAEMON_JSON)

    machine.run("sh", "-c", f"rm -f {DROP_IN} /etc/sysconfig/docker; : > /etc/default/docker")
    host.restart_docker()
    host.start_container()
    host.trust("install", "docker")
    assert NAME in host.shown()
    machine.write(DAEMON_JSON, '{"debug": true}\n')
    machine.wait_for("our entries in a file that was written anew", listed)
    machine.wait_for("the same in dockerd", lambda: NAME in host.shown())
    assert '"debug": true' in machine.read(DAEMON_JSON)

    machine.write(DROP_IN, FLAG)
    machine.wait_for("the end of our entries", lambda: not listed())
    assert NAME in host.shown(), "it runs as it did"
    host.restart_docker()
    assert host.shown() == {"theirs:1"}
    machine.run("rm", DROP_IN)
    machine.run("systemctl", "daemon-reload")
    machine.wait_for("our entries without the flag", listed, 90)
    host.restart_docker()
    assert NAME in host.shown() and "theirs:1" not in host.shown()

    machine.write("/etc/default/docker", "DOCKER_OPTS='--insecure-registry theirs:1'\n")
    host.restart_docker(code=None)
    machine.wait_for("dockerd", lambda: machine.unit_state("docker.service") == "active", 90)
    machine.wait_for("our flags", lambda: NAME in machine.read("/etc/default/docker"))
    host.restart_docker()
    assert {NAME, "theirs:1"} <= host.shown() and not listed()
    host.start_container()


@pytest.mark.promise("docker-proxy")
def test_a_proxy_that_is_in_the_way_is_named(host: Host) -> None:
    """dockerd would ask it for our names; what is said helps."""
    machine, docker = host.machine, clients.Docker(host.machine, host.password)
    proxied = "[Service]\nEnvironment=HTTPS_PROXY=http://me:secret@127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9"
    for mode in ("insecure", "ca"):
        host.mode(mode)
        machine.write(DROP_IN, f"{proxied} NO_PROXY=none.test\n")
        host.restart_docker()
        assert "proxy" in (docker.login(NAME) or "")
        said = host.trust("check", "docker", code=3)
        assert f"docker      {NAME:<32} fails: " in said.stdout and "secret" not in said.stdout + said.stderr
        machine.wait_for("that the observer has it told", lambda: "NO_PROXY" in host.command("status").stdout, 90)
        warned = host.command("status").stdout
        for text in (said.stderr, warned):
            assert "goes to" in text and f"add to NO_PROXY in {DROP_IN}: {NAME},{SIX}," in text, text
        names = said.stderr.partition(f"{DROP_IN}: ")[2].partition(";")[0]
        machine.write(DROP_IN, f"{proxied} NO_PROXY=none.test,{names}\n")
        host.restart_docker()
        assert docker.login(NAME) is None
        host.trust("check", "docker")
        machine.wait_for("that it is over", lambda: "NO_PROXY" not in host.command("status").stdout, 90)
    machine.run("rm", DROP_IN)
    host.restart_docker()
    host.start_container()


@pytest.mark.promise("containerd-config", "trust-check")
def test_what_keeps_clients_away_is_told(host: Host) -> None:
    """Half a pair in certs.d, a registry that is blocked, and settings of containerd with which CRI is down."""
    machine, name = host.machine, f"{NAME}:443"
    host.trust("install", "podman", "containerd")
    for client, below in (("docker", "docker"), ("podman", "containers")):
        directory = f"/etc/{below}/certs.d/{name}"
        machine.run("cp", f"{directory}/ca.crt", f"{directory}/ca.cert")
        real = {str(one): one for one in host.clients}[client]
        assert "missing key ca.key" in (real.login(name) or "")
        assert f"{client:<11} {name:<32} fails: " in host.trust("check", client, code=3).stdout
        assert f"mv {directory}/ca.cert {directory}/ca.crt" in host.trust("install", client, code=3).stderr
        machine.run("rm", f"{directory}/ca.cert")
    machine.write("/etc/containers/registries.conf.d/b.conf", f'[[registry]]\nlocation = "{NAME}"\nblocked = true\n')
    assert "blocked" in (clients.Podman(machine, host.password).login(name) or "")
    assert "is blocked in /etc/containers/registries.conf.d/b.conf" in host.trust("check", "podman", code=3).stdout
    machine.run("rm", "/etc/containers/registries.conf.d/b.conf")
    host.trust("check", "podman", "docker")

    def cri(config: str) -> str:
        machine.write("/etc/containerd/config.toml", config)
        machine.run("systemctl", "restart", "containerd")
        lines = machine.run("ctr", "plugins", "ls").stdout.splitlines()
        return next(line.split()[-1] for line in lines if line.split()[1] == "cri")

    table = '[plugins."io.containerd.grpc.v1.cri".registry'
    mirrors = f'version = 2\n{table}.mirrors."docker.io"]\nendpoint = ["https://mirror.example.test"]\n'
    assert cri(mirrors) == "ok"
    said = host.trust("install", "containerd", code=3).stderr
    assert "leave config_path out" in said
    assert f'add {table}.configs."{NAME}".tls] ca_file = "/etc/containerd/certs.d/{NAME}/ca.crt"' in said
    added = f'{table}.configs."{NAME}".tls]\nca_file = "/etc/containerd/certs.d/{NAME}/ca.crt"\n'
    assert cri(mirrors + added) == "ok", "with what is said"
    assert cri(f'{mirrors}{table}]\nconfig_path = "/etc/containerd/certs.d"\n') == "error"
    assert "CRI does not start" in host.trust("install", "containerd", code=3).stderr
    assert cri(f'version = 2\n{table}]\nconfig_path = "/etc/containerd/certs.d"\n') == "ok"
    assert "CRI" not in host.trust("install", "containerd").stderr
    machine.run("rm", "/etc/containerd/config.toml")
    machine.run("systemctl", "restart", "containerd")
    host.trust("remove", "podman", "containerd")


def test_corpus_by_dockerd_itself(host: Host, other: Machine) -> None:
    """What dockerd reads before the edit it reads after it (dockerd --validate, since 23.0)."""
    if "--validate" not in other.run("dockerd", "--help").stdout:
        return
    good = [case for case in CORPUS if case.after is not None]
    script = ["cd /root"]
    for number, case in enumerate(good):
        for which, data in (("before", case.data or b"{}"), ("after", case.after or b"")):
            name = f"{number}.{which}"
            other.write(f"/root/corpus/{name}", data.decode())
            script.append(f"dockerd --validate --config-file corpus/{name} >/dev/null 2>&1; echo {name} $?")
    said = dict(line.split() for line in other.run("sh", input="\n".join(script)).stdout.splitlines())
    for number, case in enumerate(good):
        assert said[f"{number}.after"] == said[f"{number}.before"], case.name
    assert list(said.values()).count("0") > len(good)
