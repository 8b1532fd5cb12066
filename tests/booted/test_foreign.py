"""What is not ours stays, on a host: masked and edited units, certbot's files, the CA's key, what a purge leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from secreg_host.pki import certs
from tests.booted.registry import ETC, Registry
from tests.hosts.machine import Machine

UNITS = "/etc/systemd/system"
LIVE, ARCHIVE = "/etc/letsencrypt/live/example.org", "/etc/letsencrypt/archive/example.org"
STATE = "/var/lib/secure-registry/state"
PAIR = {"docker-registry.crt": "fullchain", "docker-registry.key": "privkey"}


def digests(machine: Machine, *paths: str) -> str:
    return machine.run("sha256sum", *paths).stdout


def certbot(machine: Machine) -> None:
    """A certificate of somebody else's CA as certbot leaves it, linked as README says."""
    now = datetime.now(UTC)
    ca = certs.make_ca(["localhost"], [], now, "Somebody", "else")
    key = serialization.load_pem_private_key(ca.key, None)
    issuer = x509.load_pem_x509_certificate(ca.crt)
    own = certs.ec.generate_private_key(certs.ec.SECP256R1())
    crt = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=80))
        .not_valid_after(now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=True)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    form = serialization.PrivateFormat.PKCS8
    pem = own.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    machine.run("mkdir", "-p", LIVE, ARCHIVE)
    machine.write(f"{ARCHIVE}/fullchain1.pem", crt.public_bytes(serialization.Encoding.PEM).decode() + ca.crt.decode())
    machine.write(f"{ARCHIVE}/privkey1.pem", pem, 0o600)
    for name, theirs in PAIR.items():
        machine.run("ln", "-s", f"../../archive/example.org/{theirs}1.pem", f"{LIVE}/{theirs}.pem")
        machine.run("ln", "-sf", f"{LIVE}/{theirs}.pem", f"{ETC}/{name}")


@pytest.mark.promise("edited-units-stay", "lost-ca-key", "own-certificate-stays", "purge-keeps-images")
def test_what_is_not_ours_stays(installed_host: Machine, tmp_path: Path) -> None:
    machine = installed_host
    registry = Registry(machine)

    # a masked unit is the administrator's will, and told
    nginx = "secure-registry-nginx.service"
    machine.run("systemctl", "mask", nginx)
    done = registry.systemctl("enable", "--now", "secure-registry")
    assert done.returncode != 0 and "masked" in registry.systemctl("status", "secure-registry").stdout
    assert machine.run("readlink", f"{UNITS}/{nginx}").stdout == "/dev/null\n"
    assert machine.run("stat", "-c", "%F", "/dev/null").stdout == "character special file\n"
    machine.run("systemctl", "unmask", nginx)
    assert registry.systemctl("start", "secure-registry").returncode == 0
    assert registry.login().returncode == 0

    # certbot's files
    certbot(machine)
    archive = digests(machine, f"{ARCHIVE}/fullchain1.pem", f"{ARCHIVE}/privkey1.pem")
    assert registry.command("reload").returncode == 0
    theirs = registry.fingerprint()
    said = registry.command("status").stdout
    assert "expires on" in said and f"renew it where it comes from ({LIVE}/fullchain.pem)" in said
    assert "gencert" not in said
    done = registry.command("gencert")
    assert done.returncode == 2 and f"a link to {LIVE}/privkey.pem" in done.stderr and "gencert --force" in done.stderr
    assert registry.fingerprint() == theirs
    done = registry.command("gencert", "--force")
    assert done.returncode == 0, done
    assert registry.fingerprint() != theirs and registry.login().returncode == 0
    assert digests(machine, f"{ARCHIVE}/fullchain1.pem", f"{ARCHIVE}/privkey1.pem") == archive
    (kept,) = machine.run("sh", "-c", f"ls -d {ETC}/docker-registry.key.bak-*").stdout.split()
    assert machine.run("readlink", kept).stdout == f"{LIVE}/privkey.pem\n"

    # the key of the CA
    ca = digests(machine, f"{ETC}/ca.crt", f"{STATE}/ca.crt")
    machine.run("mv", f"{STATE}/ca.key", "/root/ca.key")
    assert f"{STATE}/ca.key: the key of the host's CA is lost" in registry.command("status").stdout
    done = registry.command("gencert")
    assert done.returncode == 2 and f"bring {STATE}/ca.key back" in done.stderr, done
    assert digests(machine, f"{ETC}/ca.crt", f"{STATE}/ca.crt") == ca
    machine.run("mv", "/root/ca.key", f"{STATE}/ca.key")
    assert registry.command("gencert").returncode == 0
    assert "is lost" not in registry.command("status").stdout

    # removal: what was rendered, and nothing else
    backup, limits = f"{UNITS}/secure-registry-backup.service", f"{UNITS}/{nginx}.d/limits.conf"
    auth = f"{UNITS}/secure-registry-auth.service"
    machine.write(backup, "[Service]\nExecStart=/bin/true\n")
    machine.run("mkdir", "-p", f"{UNITS}/{nginx}.d")
    machine.write(limits, "[Service]\nNice=1\n")
    machine.run("sh", "-c", f"echo '# mine' >> {auth}")
    said = machine.run("apt-get", "remove", "--yes", "secure-registry").stdout
    assert f"kept {auth}" in said
    left = machine.run("sh", "-c", f"cd {UNITS}; ls -d secure-registry*").stdout.split()
    assert left == ["secure-registry-auth.service", "secure-registry-backup.service", f"{nginx}.d"], left
    assert machine.exists(limits)
    assert machine.run("ss", "-Hltn", "sport", "=", ":443").stdout == ""

    # purge: nothing behind a link, nothing that is mounted
    machine.run("sh", "-c", f"echo x > '{ETC}/a name'; echo x > {ETC}/.hidden")
    machine.run("mkdir", "-p", "/srv/shared", f"{ETC}/shared", "/srv/linked")
    machine.write("/srv/shared/theirs", "x")
    machine.write("/srv/linked/theirs", "x")
    machine.run("ln", "-s", "/srv/linked", "/var/lib/secure-registry/linked")
    machine.run("ln", "-s", "/srv/linked", f"{ETC}/linked")
    machine.run("mount", "--bind", "/srv/shared", f"{ETC}/shared")
    said = machine.run("apt-get", "purge", "--yes", "secure-registry").stdout
    assert f"{ETC}/shared is kept: something is mounted there" in said
    assert machine.run("sh", "-c", f"ls -A {ETC}").stdout == "shared\n"
    assert not machine.exists("/var/lib/secure-registry"), "there are no images, and a marker is none"
    assert machine.exists("/srv/shared/theirs") and machine.exists("/srv/linked/theirs")
    assert not machine.exists(STATE) and not machine.exists("/var/lib/secure-registry/linked")
    assert digests(machine, f"{ARCHIVE}/fullchain1.pem", f"{ARCHIVE}/privkey1.pem") == archive
    assert machine.exists(auth) and machine.exists(backup)
