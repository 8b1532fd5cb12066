"""Clients that trust the registry: which files they get, that nothing of others is touched, and that all comes back."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.marks import digest
from secreg_host.base.paths import Paths
from secreg_host.clients import edits, elsewhere, owned, served, trust, trust_containerd, trust_podman, trust_system
from secreg_host.clients.served import Endpoint, Served
from secreg_host.clients.trust import Trust
from secreg_host.clients.trust_k3s import MARK, Registries
from secreg_host.formats.listening import Listen
from secreg_host.generation.generations import Generation
from secreg_host.host.host import Host
from secreg_host.pki import handshake
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.parts.nginx import NginxPart
from secreg_host.wanted.parts.part import Parts
from tests import made

CA = b"""\
-----BEGIN CERTIFICATE-----
aGVsbG8=
-----END CERTIFICATE-----
"""
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def generation(
    names: tuple[str, ...] = ("reg.example.org", "192.0.2.1", "2001:db8::1"),
    listens: tuple[tuple[str, int], ...] = (("", 5000),),
    ca: bytes | None = CA,
    mode: str = "insecure",
) -> Generation:
    pair = made.certificate({certificate.CA: ca} if ca else {}, names)
    nginx = NginxPart(listens=tuple(Listen(host, port) for host, port in listens))
    return Generation(Parts(made.settings(docker_trust=mode), pair, nginx), "a", {})


def test_endpoints_are_names_and_addresses_with_their_ports() -> None:
    found = served.of(generation())
    assert found.spellings == ("reg.example.org:5000", "192.0.2.1:5000", "[2001:db8::1]:5000")
    assert found.insecure_entries == found.spellings
    assert found.ca == CA


class Starting:
    """systemd, while dockerd is starting again and again."""

    looks = 0

    def unit(self, name: str) -> dict[str, Any]:
        self.looks += 1
        assert self.looks < 3, f"{name} was looked at again: it is waited for"
        return {"LoadState": "loaded", "ActiveState": "activating", "ExecStart": [("dockerd", ["dockerd"])]}

    def call(self, method: str, *args: Any) -> Any:
        raise AssertionError(method)


@pytest.mark.parametrize("mode", ["ca", "none"])
def test_a_daemon_that_is_starting_holds_up_nothing_that_it_need_not_read(host: Host, mode: str) -> None:
    """Seen: 20 seconds for each edit, reload and restart, though certs.d is read for each pull."""
    host.paths.docker.mkdir(parents=True)
    known = Trust(host, generation(mode=mode), Starting())
    assert all("a snap" in problem.what for problem in known.follow())
    assert bool(list(host.paths.docker.rglob("ca.crt"))) is (mode == "ca")


@pytest.mark.promise("odd-names")
def test_what_is_no_name_is_nobodys_endpoint(host: Host) -> None:
    """A certificate is the administrator's, but what it says comes from whoever asked for it."""
    odd = ("x'$(touch${IFS}/run/pwned)'.example", "../../cron.d/evil", "a b", "a\nb", "", ".", "fe80::1%eth0", "*.*.x")
    current = generation(names=(*odd, "reg.example.org", "192.0.2.1", "*.wild.example"), mode="ca")
    assert served.of(current).spellings == ("reg.example.org:5000", "192.0.2.1:5000")
    assert current.parts[certificate.CertificatePart].usable_names == ("reg.example.org", "192.0.2.1", "*.wild.example")
    for line in (True, False):
        shown = elsewhere.show(host.paths, served.of(current), line=line)
        assert "reg.example.org:5000" in shown and not any(word and word in shown for word in odd if len(word) > 3)
    [warning] = certificate.unusable(current.parts[certificate.CertificatePart], "crt")
    assert warning.what.startswith("8 of its names") and "\n" not in warning.what
    with pytest.raises(ValueError):
        Endpoint("../../cron.d/evil", 443)


@pytest.mark.promise("names-that-work")
def test_port_443_may_be_left_out_but_not_in_what_old_dockerds_refuse() -> None:
    found = served.of(generation(names=("a.example", "::1", "*.example"), listens=(("", 443), ("::", 443))))
    assert found.spellings == ("a.example", "a.example:443", "[::1]", "[::1]:443")
    assert found.insecure_entries == ("a.example", "a.example:443", "[::1]:443")


def test_an_address_that_is_not_listened_on_is_not_served() -> None:
    found = served.of(generation(listens=(("192.0.2.1", 5000), ("::", 6000))))
    assert found.endpoints[:2] == (Endpoint("reg.example.org", 5000), Endpoint("192.0.2.1", 5000))
    assert Endpoint("2001:db8::1", 5000) not in found.endpoints and Endpoint("2001:db8::1", 6000) in found.endpoints


# --- whole files


def test_owned_files_are_never_written_over_others(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in "abc")
    made = owned.plan({a: b"1", b: b"1", c: b"1"}, {str(c): digest(b"old")}, {a: None, b: b"theirs", c: b"old"})
    assert (dict(made.write), made.remove) == ({a: b"1", c: b"1"}, ())
    assert [problem.where for problem in made.problems] == [str(b)]
    assert set(made.record) == {str(a), str(c)}


@pytest.mark.promise("trust-remove")
def test_owned_files_that_were_edited_stay(tmp_path: Path) -> None:
    """Seen: a hosts.toml with a line of the administrator's stayed without the ca.crt that it names, and not a word."""
    alone, ca, edited = tmp_path / "a/ca.crt", tmp_path / "b/ca.crt", tmp_path / "b/hosts.toml"
    record = {str(path): digest(b"1") for path in (alone, ca, edited)}
    made = owned.plan({}, record, {alone: b"1", ca: b"1", edited: b"edited"})
    assert made.remove == (alone,) and set(made.record) == {str(ca), str(edited)}
    assert [(one.where, "edited" in one.what) for one in made.problems] == [(str(edited), True)]
    once_more = owned.plan({}, made.record, {ca: b"1", edited: None})
    assert once_more.remove == (ca,) and once_more.record == {} and once_more.problems == ()


def test_the_same_file_by_the_administrator_stays(tmp_path: Path) -> None:
    a = tmp_path / "a"
    made = owned.plan({a: b"1"}, {}, {a: b"1"})
    assert not made.write and not made.record


def test_a_directory_that_a_run_emptied_before_it_was_cut_goes(tmp_path: Path) -> None:
    path = tmp_path / "certs.d/reg:1/ca.crt"
    path.parent.mkdir(parents=True)
    saved: list[dict[str, str]] = []
    owned.follow({}, {str(path): digest(CA)}, saved.append)
    assert list(tmp_path.iterdir()) == [] and saved == [{}]
    owned.follow({}, {str(path): digest(CA)}, saved.append)  # which may have been its last step


def test_a_removal_that_was_cut_is_finished(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the next apply, whatever asks for it."""
    known = Trust(host, generation())
    known.install(("podman",), insecure=False)
    certs = host.paths.containers / "certs.d"
    with monkeypatch.context() as killed:
        killed.setattr(owned, "client", lambda *_: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            known.remove(("podman",))
    assert certs.is_dir()
    Trust(host, generation()).follow()
    assert not certs.exists() and Trust(host, generation()).kept.record["chosen"] == {"podman": ""}


def test_owned_files_are_never_put_in_the_place_of_a_link(tmp_path: Path) -> None:
    """Whoever linked one, be it to the same bytes, manages it."""
    theirs, link, other, nowhere = (tmp_path / name for name in ("theirs", "link", "other", "nowhere"))
    theirs.write_bytes(b"1")
    for path, target in ((link, theirs), (other, theirs), (nowhere, tmp_path / "no")):
        path.symlink_to(target)
    kept: list[dict[str, str]] = []
    record = {str(other): digest(b"1")}
    changed, problems = owned.follow({link: b"1", other: b"2", nowhere: b"1"}, record, kept.append)
    assert not changed and [problem.where for problem in problems] == [str(other), str(nowhere)]
    assert owned.follow({}, record, kept.append)[0] is False
    assert link.is_symlink() and other.is_symlink() and nowhere.is_symlink() and theirs.read_bytes() == b"1"
    assert not (tmp_path / "no").exists()


def listing(root: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


@pytest.mark.promise("trust-follows", "trust-remove")
@pytest.mark.parametrize("client", trust.OTHERS, ids=lambda client: client.name)
@pytest.mark.parametrize("insecure", [False, True])
def test_each_client_installs_and_removes_without_a_trace(
    host: Host, client: trust.Client, insecure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secreg_host.base.process.find_program", lambda name: Path("/usr/bin", name))
    ran: list[object] = []
    monkeypatch.setattr(trust, "OTHERS", tuple(replace(one, after=lambda paths: ran.append(1)) for one in trust.OTHERS))
    for directory in (
        host.paths.k3s,
        host.paths.containerd,
        host.paths.containers,
        *(at for at, _ in trust_system.anchors(host.paths)),
    ):
        directory.mkdir(parents=True)
    (host.paths.k3s / "registries.yaml").write_text("mirrors:\n  docker.io:\n    endpoint: [https://m.example]\n")
    (host.paths.containers / "registries.conf.d").mkdir()
    (host.paths.containerd / "certs.d").mkdir()
    host.paths.state.mkdir(parents=True)
    before = listing(host.paths.root / "etc")
    (host.paths.containerd / "certs.d").rmdir()  # made anew, and removed again
    before.pop("containerd/certs.d")
    Trust(host, generation()).install([client.name], insecure=insecure)
    during = listing(host.paths.root)
    assert any(b"hello" in (data or b"") or data == CA for data in during.values()) or insecure
    Trust(host, generation(listens=(("", 6000),))).follow()
    after = listing(host.paths.root)
    if client.name != "system":
        assert any("6000" in path or b"6000" in (data or b"") for path, data in after.items())
        assert not any(
            "etc/" in path and (":5000" in path or b":5000" in (data or b"")) for path, data in after.items()
        )
    Trust(host, generation(listens=(("", 6000),))).remove(())
    assert listing(host.paths.root / "etc") == before


def test_podman_and_containerd_files() -> None:
    paths = Paths(Path("/"))
    found = Served((Endpoint("::1", 5000),), CA)
    assert trust_podman.wants(paths, found, insecure=False) == {Path("/etc/containers/certs.d/[::1]:5000/ca.crt"): CA}
    ((path, data),) = trust_podman.wants(paths, found, insecure=True).items()
    assert path.parent.name == "registries.conf.d"
    assert b'location = "[::1]:5000"\ninsecure = true\n' in data
    toml = trust_containerd.wants(paths, found, insecure=False)[
        Path("/etc/containerd/certs.d/[::1]:5000/hosts.toml")
    ].decode()
    read = tomllib.loads(toml)
    expected = {"capabilities": ["pull", "resolve", "push"], "ca": "/etc/containerd/certs.d/[::1]:5000/ca.crt"}
    assert read == {"server": "https://[::1]:5000", **expected, "host": {"https://[::1]:5000": expected}}
    assert not re.search(r"^\[.*\].*\]", toml, re.MULTILINE), "containerd 1.6 reads no ] in a table's name"


# --- registries.yaml of k3s

TLS = {"ca_file": "/ca.crt"}


@dataclass(frozen=True)
class Case:
    """A registries.yaml, and what becomes of it (None: refused)."""

    before: str | None
    after: str | None


INNER = f"tls: {json.dumps(TLS)}{MARK}\n"
OURS = f'  "a:1": {json.dumps({"tls": TLS})}{MARK}\n'
K3S = (
    Case(None, f"configs:{MARK}\n{OURS}"),
    Case("", f"configs:{MARK}\n{OURS}"),
    Case("mirrors: {}", f"mirrors: {{}}\nconfigs:{MARK}\n{OURS}"),
    Case("configs:\n  b:2: {}\n", f"configs:\n{OURS}  b:2: {{}}\n"),
    Case("configs:\n    b:2: {}\nmirrors: {}\n", f"configs:\n  {OURS}    b:2: {{}}\nmirrors: {{}}\n"),
    Case("configs:\n# note\n\n   b:2: {}\n", f"configs:\n {OURS}# note\n\n   b:2: {{}}\n"),
    Case("configs:\n", f"configs:\n{OURS}"),
    Case('configs:\n  "a:1": {tls: {x: 1}}\n', 'configs:\n  "a:1": {tls: {x: 1}}\n'),
    Case("configs:\n  a:1:\n    auth: {}\n  b: {}\n", f"configs:\n  a:1:\n    {INNER}    auth: {{}}\n  b: {{}}\n"),
    Case("configs:\n 'a:1':  # note\n  auth:\n   x: y\n", f"configs:\n 'a:1':  # note\n  {INNER}  auth:\n   x: y\n"),
    Case('configs:\n  "a:1": {}\n', None),
    Case('configs:\n  "a:1": {auth: {x: y}}\n', None),
    Case("configs: {}\n", None),
    Case("configs: {b: {}}\n", None),
    Case("- a\n", None),
    Case("a: [\n", None),
    Case("configs: 3\n", None),
)


@pytest.mark.promise("k3s")
@pytest.mark.parametrize("case", K3S)
def test_registries_yaml(case: Case) -> None:
    kind = Registries("registries.yaml", TLS)
    data = None if case.before is None else case.before.encode()
    if case.after is None:
        with pytest.raises(BadInput) as caught:
            edits.plan(data, None, kind, ("a:1",))
        assert caught.value.problems[0].hint
        return
    new, mine = edits.plan(data, None, kind, ("a:1",))
    assert (new or b"").decode() == case.after
    assert edits.plan(new, mine, kind, ()) == (data, None)


@relaxed
@given(
    st.dictionaries(st.sampled_from(["mirrors", "x"]), st.dictionaries(st.text("ab#: ", max_size=4), st.integers())),
    st.dictionaries(st.sampled_from(["b:2", "c", "[::1]:3"]), st.fixed_dictionaries({"auth": st.text(max_size=3)})),
    st.lists(st.sampled_from(["a:1", "b:2", "[::1]:3"]), unique=True),
    st.sampled_from([2, 4]),
)
def test_registries_yaml_comes_back(
    rest: dict[str, object], configs: dict[str, dict[str, object]], wanted: list[str], indent: int
) -> None:
    assume(rest or configs)
    text = yaml.safe_dump({**rest, "configs": configs} if configs else rest, indent=indent, default_flow_style=False)
    kind = Registries("registries.yaml", TLS)
    new, mine = edits.plan(text.encode(), None, kind, tuple(wanted))
    loaded = kind.load(new)
    assert {key: value for key, value in loaded.items() if key != "configs"} == rest
    ours = {word: {**configs.get(word, {}), "tls": TLS} for word in wanted}
    assert (loaded.get("configs") or {}) == {**configs, **ours}
    assert edits.plan(new, mine, kind, ()) == (text.encode(), None)
    if mine is not None and new is not None:
        left, _ = edits.plan(b"# theirs\n" + new, mine, kind, ())
        assert (left or b"").removeprefix(b"# theirs\n") == text.encode()


def test_a_line_in_registries_yaml_that_was_edited_is_somebody_elses() -> None:
    """Seen: auth that was added to our line was removed with it; its children stayed without their head."""
    kind = Registries("registries.yaml", TLS)
    new, mine = edits.plan(None, None, kind, ("a:1", "b:2"))
    assert new is not None and mine is not None
    flow = new.replace(b'"a:1": {', b'"a:1": {"auth": {}, ')
    block = f'configs:\n  "a:1":{MARK}\n    tls: {json.dumps(TLS)}\n    auth: {{}}\n'.encode() + new.splitlines(True)[2]
    for edited in (flow, block):
        left, kept = edits.plan(edited, mine, kind, ())
        assert left is not None and kept is None
        assert kind.load(left) == {"configs": {"a:1": {"tls": TLS, "auth": {}}}}
        again, mine_now = edits.plan(edited, mine, kind, ("a:1",))
        assert again == left and mine_now is None, "what it says of tls is enough, whoever says it"


def test_what_was_insecure_in_registries_yaml_is_verified_later(host: Host) -> None:
    for insecure in (True, False):
        Trust(host, generation(names=("a.b",))).install(["k3s"], insecure=insecure)
        loaded = Registries("", {}).load((host.paths.k3s / "registries.yaml").read_bytes())
        ca = str(host.paths.k3s / "secure-registry-ca.crt")
        tls: dict[str, object] = {"insecure_skip_verify": True} if insecure else {"ca_file": ca}
        assert loaded == {"configs": {"a.b:5000": {"tls": tls}}}
    with (host.paths.k3s / "registries.yaml").open("a") as file:
        file.write("# theirs\n")
    Trust(host, generation(names=("a.b",))).remove(["k3s"])
    assert (host.paths.k3s / "registries.yaml").read_text() == "# theirs\n"


# --- when Docker is told what


@pytest.mark.promise("names-that-work")
def test_only_what_clients_take_for_a_registry_is_written_without_a_port() -> None:
    """docker.io/single/image would be asked for single/image."""
    found = served.of(generation(names=("single", "localhost", "two.words", "192.0.2.1"), listens=(("", 443),)))
    expected = ["single:443", "localhost", "localhost:443", "two.words", "two.words:443", "192.0.2.1", "192.0.2.1:443"]
    assert list(found.spellings) == expected


def test_names_of_a_wildcard_are_those_in_the_settings() -> None:
    one = generation(names=("*.example.org", "b.example.org"))
    names = ("a.example.org", "b.example.org", "a.b.example.org", "example.com")
    one = replace(one, parts=one.parts.having(made.settings(server_names=names)))
    assert [end.host for end in served.of(one).endpoints] == ["a.example.org", "b.example.org"]


def known(host: Host, mode: str, ca: bytes | None = CA) -> Trust:
    return Trust(host, generation(ca=ca, mode=mode))


def mode_of(host: Host, mode: str, ca: bytes | None = CA) -> str:
    return known(host, mode, ca).docker.mode()


@pytest.mark.promise("docker-trust", "public-certificates")
def test_mode(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "unable to get local issuer certificate"
    monkeypatch.setattr(handshake, "shake", lambda *_: said)
    host.paths.state.mkdir(parents=True)
    assert [mode_of(host, mode) for mode in ("insecure", "ca", "none")] == ["insecure", "ca", "none"]
    assert known(host, "insecure", None).docker.mode() == "insecure", "a private CA's certificate"
    with pytest.raises(BadInput, match="not the CA"):
        known(host, "ca", None).docker.mode()
    said = ""
    assert [mode_of(host, mode, None) for mode in ("insecure", "ca")] == ["none", "none"], "publicly trusted"
    assert [mode_of(host, mode) for mode in ("insecure", "ca")] == ["none", "none"], "with its CA in ca.crt"
    (host.paths.state / "ca.crt").write_bytes(CA)
    assert [mode_of(host, mode) for mode in ("insecure", "ca")] == ["insecure", "ca"], "our own, in the system's"
    (host.paths.state / "ca.crt").unlink()
    said = handshake.OUT_OF_TIME
    assert known(host, "insecure", None).docker.mode() == "none", "an expired one is no reason to stop verifying"
    assert Trust(host, None).docker.mode() == "none"


def test_removed_by_hand_it_stays_away(host: Host) -> None:
    host.paths.state.mkdir(parents=True)
    known(host, "insecure").remove(["docker"])
    assert known(host, "insecure").docker.mode() == "none"
    known(host, "insecure").forget()
    assert known(host, "insecure").docker.mode() == "insecure"


def test_docker_with_ca_and_back(host: Host) -> None:
    host.paths.docker.mkdir(parents=True)
    host.paths.state.mkdir(parents=True)
    assert known(host, "ca").follow() == ()
    assert (host.paths.docker / "certs.d/reg.example.org:5000/ca.crt").read_bytes() == CA
    assert known(host, "none").follow() == ()
    assert list(host.paths.docker.iterdir()) == []


def test_what_is_shown_for_other_machines(host: Host) -> None:
    current = generation(names=("localhost", "::1", "reg.example.org", "2001:db8::1"), listens=(("", 443),))
    script = elsewhere.show(host.paths, served.of(current), line=False)
    assert "for at in reg.example.org '[2001:db8::1]'; do" in script and served.fingerprint(CA) in script
    assert "for name in reg.example.org reg.example.org:443 '[2001:db8::1]' '[2001:db8::1]:443'; do" in script
    assert "localhost" not in script
    line = elsewhere.show(host.paths, served.of(current), line=True)
    assert line.count("\n") == 1 and served.fingerprint(CA) in line
    with pytest.raises(SecregError, match="not signed by a CA"):
        elsewhere.show(host.paths, served.of(generation(ca=None)), line=False)
    with pytest.raises(SecregError, match="nothing serves"):
        elsewhere.show(host.paths, None, line=False)


def test_system_store_is_never_chosen_unasked(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secreg_host.base.process.find_program", lambda name: Path("/usr/bin", name))
    host.paths.state.mkdir(parents=True)
    known(host, "none").install([], insecure=False)
    assert not any(path.name == trust_system.FILE for path in host.paths.root.rglob("*"))
