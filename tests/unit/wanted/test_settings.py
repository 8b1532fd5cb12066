"""Settings: all problems at once, with lines; environment and file never disagree in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput
from secreg_host.wanted import cautions, settings, values
from secreg_host.wanted.settings import Settings

CONF = Path("/etc/secure-registry/secure-registry.conf")


def load(text: str | None, **environment: str) -> Settings:
    return settings.load(CONF, text.encode() if text is not None else None, environment)


def problems(text: str | None, **environment: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load(text, **environment)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.promise("names-of-the-original")
def test_defaults_are_those_of_the_original() -> None:
    assert load(None) == load("") == settings.default()
    found = Settings()
    assert (found.username, found.c, found.st, found.l, found.o, found.port) == (
        "docker",
        "AU",
        "Queensland",
        "Brisbane",
        "Void",
        443,
    )


@pytest.mark.promise("settings")
def test_every_key_from_the_file_and_from_the_environment() -> None:
    given = {
        "SERVER_NAME": "a.example b.example",
        "SERVER_IP": "192.0.2.1,2001:db8::1",
        "CA_DOMAIN": "a.example, Corp.Lan.",
        "PORT": "8443",
        "USERNAME": "crazy",
        "PASSWORD": "fool",
        "C": "de",
        "ST": "Berlin",
        "L": "Mitte",
        "O": "Me",
        "CN": "cn.example",
        "KEY_TYPE": "RSA-4096",
        "CERT_DAYS": "30",
        "REGISTRY_HOST": "localhost",
        "REGISTRY_PORT": "5001",
        "NGINX_BINARY": "/opt/nginx",
        "REGISTRY_BINARY": "/opt/registry",
    }
    found = load("".join(f"{key}={value}\n" for key, value in given.items()))
    assert found == settings.load(CONF, None, given)
    assert found.server_names == ("a.example", "b.example")
    assert found.server_ips == ("192.0.2.1", "2001:db8::1")
    assert found.ca_domains == ("a.example", "Corp.Lan")
    assert (found.port, found.username, found.password, found.c) == (8443, "crazy", "fool", "DE")
    assert not found.own_registry
    assert "fool" not in str(found.public())


def test_all_problems_at_once_in_order_with_lines() -> None:
    found = problems("PORT=0\nPROT=1\nSERVER_IP=300.1.1.1\nnonsense\nC=AUS\nKEY_TYPE=DSA\nPORT=2\nCERT_DAYS=x\n")
    assert [line.split(": ")[0] for line in found] == [f"{CONF}:{number}" for number in range(1, 9)]
    assert "did you mean PORT?" in found[1]
    assert "first at" in found[6]


@pytest.mark.parametrize("value", ["-x", "a b;c", "x_y..z", "é", "a/b", "$(x)"])
def test_bad_server_names(value: str) -> None:
    assert "SERVER_NAME" in problems(f"SERVER_NAME='{value}'\n")[0]


@pytest.mark.parametrize("listed", [b"", b"uk\nco.uk\n"])
@pytest.mark.parametrize("value", ["lan", "co.uk", "10.0.0.1", "*.example.org", ".example.org", "example.org co.uk"])
def test_a_ca_for_other_peoples_names_is_refused(
    value: str, listed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list").write_bytes(listed)
    monkeypatch.setattr(values, "PUBLIC_SUFFIXES", tmp_path / "list")
    (found,) = problems(f"# names\nCA_DOMAIN={value}\n")
    assert found.startswith(f"{CONF}:2: CA_DOMAIN: ") and "secure-registry.conf(5)" in found


@pytest.mark.parametrize("text", ["O='x;y'", "L=a{b", 'ST="a\\"b"', "CN='$x'", "O=" + "x" * 65])
def test_what_would_break_a_template_is_refused(text: str) -> None:
    assert len(problems(text + "\n")) == 1


@pytest.mark.parametrize("name", [*settings.BY_NAME, "OPTS"])
def test_a_variable_that_is_no_text_is_named(name: str) -> None:
    """Bytes of the environment that are no UTF-8 (PEP 383)."""
    with pytest.raises(BadInput, match=f"environment variable {name}: .*not UTF-8 text"):
        settings.load(Path("/conf"), None, {"USERNAME": "bob", "PASSWORD": "pass", name: "b\udcf6b"})


def test_a_conflict_between_file_and_environment_is_named() -> None:
    found = problems("PORT=443\n", PORT="8443")
    assert "environment variable PORT" in found[0] and f"{CONF}:1" in found[0]
    assert load("PORT=8443\n", PORT="8443").port == 8443


def test_a_password_is_never_part_of_a_message() -> None:
    found = problems("PASSWORD='geheim\tx'\nPORT=x\n")
    assert not any("geheim" in line for line in found)


def test_username_of_a_desktop_login_does_not_count() -> None:
    assert load(None, USERNAME="alice", USER="alice").username == "docker"
    assert load(None, USERNAME="alice", SUDO_USER="alice", USER="root").username == "docker"
    assert load(None, USERNAME="crazy", USER="alice").username == "crazy"
    assert load(None, USERNAME="alice", USER="alice", PASSWORD="x").username == "alice"


def test_a_file_that_is_not_text() -> None:
    with pytest.raises(BadInput) as caught:
        settings.load(CONF, b"PORT=443\n\xff\xfe", {})
    assert caught.value.problems[0].where == f"{CONF}:2"


def test_opts_is_opt() -> None:
    assert load("OPTS='-B -C 5'\n").opt == "-B -C 5"
    assert "OPT" in problems("OPT='--nonsense'\n")[0]


def test_an_unknown_registry_host_is_named(tmp_path: Path) -> None:
    conf = tmp_path / "secure-registry.conf"
    conf.write_text("PORT=8443\nREGISTRY_HOST=does-not-exist.invalid\n")
    found = cautions.unresolved(Settings(registry_host="does-not-exist.invalid"), conf)
    assert found[0].where == f"{conf}:2" and "nothing knows" in found[0].what
    assert cautions.unresolved(Settings(registry_host="127.0.0.1"), conf) == ()
    assert cautions.unresolved(Settings(), conf) == ()


@pytest.mark.promise("short-grace")
def test_a_grace_that_a_push_may_outlast_is_told(tmp_path: Path) -> None:
    conf = tmp_path / "secure-registry.conf"
    conf.write_text("PORT=8443\nGC_GRACE=23h\n")
    [one] = cautions.short(conf, load(conf.read_text()))
    assert one.where == f"{conf}:2" and "longer than 23h is refused" in one.what and "GC_GRACE=24h" in one.hint
    assert cautions.short(conf, load("GC_GRACE=1d\n")) == cautions.short(conf, Settings()) == ()
    assert load("GC_GRACE=90m\n").grace == 5400


@pytest.mark.parametrize(
    "line",
    [
        "GC_GRACE=24",
        "GC_GRACE=1.5h",
        "GC_GRACE=-1h",
        "TRASH_DAYS=0",
        "TRASH_DAYS=14d",
        "AUDIT_DAYS=0",
        "AUDIT_PULLS=true",
    ],
)
def test_ages_that_are_none(line: str) -> None:
    [said] = problems(f"# one\n{line}\n")
    assert said.startswith(f"{CONF}:2: {line.partition('=')[0]}: no")
