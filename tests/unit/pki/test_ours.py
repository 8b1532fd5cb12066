"""What is not ours stays: links are replaced and never written through; others' keys and certificates are kept beside,
and replaced only when that is asked for; a CA whose key is lost is an error, never a reason for another CA."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from secreg_host.base import beside, files
from secreg_host.base.errors import BadInput, SecregError
from secreg_host.base.records import Ledger, Write
from secreg_host.base.snapshot import Snapshot
from secreg_host.host.host import Host
from secreg_host.pki import chains, ours, pairs
from secreg_host.pki.certs import KeyPair
from secreg_host.wanted import authority, defaults, provision
from secreg_host.wanted.authority import Order
from secreg_host.wanted.defaults import Facts
from secreg_host.wanted.parts import certificate
from secreg_host.wanted.settings import Settings
from tests.unit.pki.test_clientrules import OTHER, Leaf

NOW = datetime.now(UTC)
FACTS = Facts("host", (), False)
FOREIGN = Leaf(by=OTHER).pair()


@pytest.fixture
def set_up(host: Host) -> Host:
    host.paths.etc.mkdir(parents=True)
    defaults.follow(Snapshot(host.paths), defaults.render(host, Settings(), FACTS), create=True)
    issue(host)
    return host


def is_issued_by(crt: bytes, ca: bytes) -> bool:
    return chains.read(crt, "")[0].is_signed_by(chains.read(ca, "")[0])


def issue(host: Host, order: Order | None = None) -> authority.Issue:
    return authority.issue(Snapshot(host.paths), Settings(), FACTS, NOW, order or Order())


def snapshot(folder: Path) -> dict[str, object]:
    return {
        str(path): path.readlink() if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def linked(host: Host, pair: KeyPair = FOREIGN) -> tuple[Path, Path]:
    """The pair as certbot leaves it: links to links to files elsewhere."""
    archive, live = (host.paths.root / "etc/letsencrypt" / name for name in ("archive", "live"))
    for folder in (archive, live):
        folder.mkdir(parents=True)
    for path, data in ((host.paths.crt, pair.crt), (host.paths.key, pair.key)):
        files.write(archive / path.name, data, 0o600)
        (live / path.name).symlink_to(f"../archive/{path.name}")
        path.unlink(missing_ok=True)
        path.symlink_to(live / path.name)
    return archive / host.paths.crt.name, archive / host.paths.key.name


# --- the certificate and its key


@pytest.mark.promise("own-certificate-stays")
@pytest.mark.parametrize("force", [False, True])
def test_a_link_is_never_written_through(set_up: Host, force: bool) -> None:
    archive = linked(set_up)
    before = snapshot(set_up.paths.root)
    if not force:
        with pytest.raises(BadInput) as caught:
            issue(set_up)
        assert snapshot(set_up.paths.root) == before
        crt, key = caught.value.problems
        assert "issued by O=Void" not in crt.what or "CN=" in crt.what
        for problem in (crt, key):
            assert "a link to" in problem.what and "/live/" in problem.what and "--force" in problem.hint
            assert "renew it where it comes from" in problem.hint
        return
    done = issue(set_up, Order(force=True))
    assert tuple(path.read_bytes() for path in archive) == (FOREIGN.crt, FOREIGN.key)
    for path in (set_up.paths.crt, set_up.paths.key):
        assert not path.is_symlink() and path.is_file()
    assert sorted(path.name.partition(".bak-")[0] for path in done.kept) == [
        "docker-registry.crt",
        "docker-registry.key",
    ]
    for path in done.kept:
        assert path.readlink().parent.name == "live" and path.read_bytes() in (FOREIGN.crt, FOREIGN.key)


@pytest.mark.promise("own-certificate-stays")
def test_a_companys_key_is_kept_beside(set_up: Host) -> None:
    paths = set_up.paths
    for path, data, mode in ((paths.crt, FOREIGN.crt, 0o640), (paths.key, FOREIGN.key, 0o640)):
        path.write_bytes(data)
        path.chmod(mode)
    before = snapshot(paths.root)
    with pytest.raises(BadInput) as caught:
        issue(set_up)
    assert snapshot(paths.root) == before
    assert "secure-registry gencert --force" in caught.value.problems[0].hint
    kept = {path.name: path for path in issue(set_up, Order(force=True)).kept}
    stamp = f"{NOW:%Y%m%d-%H%M%S}"
    assert set(kept) == {f"docker-registry.crt.bak-{stamp}", f"docker-registry.key.bak-{stamp}"}
    key, crt = kept[f"docker-registry.key.bak-{stamp}"], kept[f"docker-registry.crt.bak-{stamp}"]
    assert (key.read_bytes(), crt.read_bytes()) == (FOREIGN.key, FOREIGN.crt)
    assert (stat.S_IMODE(key.stat().st_mode), stat.S_IMODE(crt.stat().st_mode)) == (0o600, 0o640)


def test_copies_are_never_overwritten_and_keys_are_private_from_the_first_byte(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.paths.etc.mkdir(parents=True)
    seen = []
    real = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda fd, mode: (seen.append(os.fstat(fd).st_mode & 0o777), real(fd, mode))[1])
    for number in range(3):
        host.paths.key.write_bytes(f"key {number}".encode())
        host.paths.key.chmod(0o644)
        kept = beside.keep(host.paths.key, NOW, private=True)
        assert kept is not None and kept.stat().st_mode & 0o777 == 0o600
    assert sorted(path.read_bytes() for path in host.paths.etc.glob("*.bak-*")) == [b"key 0", b"key 1", b"key 2"]
    assert not any(mode & 0o077 for mode in seen)


def test_ours_is_replaced_without_a_word(set_up: Host) -> None:
    before = set_up.paths.crt.read_bytes()
    assert issue(set_up).kept == ()
    assert set_up.paths.crt.read_bytes() != before
    assert not list(set_up.paths.etc.glob("*.bak-*"))


def test_a_pair_of_ours_that_was_moved_and_linked_is_renewed_in_the_place_of_the_link(set_up: Host) -> None:
    paths = set_up.paths
    pair = KeyPair(paths.crt.read_bytes(), paths.key.read_bytes())
    archive = linked(set_up, pair)
    assert authority.due(Snapshot(set_up.paths), NOW + timedelta(days=300))
    assert len(issue(set_up).kept) == 2
    assert tuple(path.read_bytes() for path in archive) == (pair.crt, pair.key)
    assert not paths.crt.is_symlink() and paths.crt.read_bytes() != pair.crt


@pytest.mark.promise("renewal")
def test_of_a_key_that_we_did_not_make_the_certificate_alone_is_renewed(set_up: Host) -> None:
    """Our CA signed its certificate, or it came back from a backup: the key is somebody's all the same."""
    paths = set_up.paths
    ca = ours.authority(Snapshot(paths)).pair
    assert ca is not None
    pair = Leaf(names=("host",), by=ca).pair()
    paths.crt.write_bytes(pair.crt)
    paths.key.write_bytes(pair.key)
    assert authority.due(Snapshot(paths), NOW), "openssl.cnf names more"
    assert issue(set_up).kept == ()
    new = pairs.read(KeyPair(paths.crt.read_bytes(), pair.key), "", "").chain
    assert new and new[0].is_signed_by(chains.read(ca.crt, "")[0]) and new[0].data != chains.read(pair.crt, "")[0].data
    assert paths.key.read_bytes() == pair.key
    (kept,) = issue(set_up, Order(force=True)).kept
    assert kept.read_bytes() == pair.key != paths.key.read_bytes()


def test_ours_that_came_back_from_a_backup_is_renewed_though_nobody_remembers_it(set_up: Host) -> None:
    """Renewed, and then the files of /etc of before are put back, or the record of what was written is lost."""
    paths = set_up.paths
    crt, key = paths.crt.read_bytes(), paths.key.read_bytes()
    issue(set_up)
    issue(set_up)
    paths.crt.write_bytes(b"# of the backup\n" + crt)
    paths.key.write_bytes(key)
    paths.written.unlink()
    assert authority.due(Snapshot(paths), NOW + timedelta(days=300))
    text = paths.openssl_cnf.read_text()
    paths.openssl_cnf.write_text(text + "DNS.9 = new.host\n")
    assert authority.due(Snapshot(paths), NOW)
    assert issue(set_up).kept == ()
    assert "new.host" in chains.read(paths.crt.read_bytes(), "")[0].names


def _directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_bytes(b"x")


@pytest.mark.parametrize(
    ("make", "said"), [(_directory, "is a directory"), (os.mkfifo, "is a FIFO")], ids=["directory", "FIFO"]
)
@pytest.mark.parametrize("name", ["docker-registry.key", "docker-registry.crt", "ca.crt"])
def test_what_is_no_file_is_told(set_up: Host, make: Callable[[Path], None], said: str, name: str) -> None:
    path = set_up.paths.etc / name
    path.unlink()
    make(path)
    for force in (False, True):
        with pytest.raises(BadInput) as caught:
            issue(set_up, Order(new_ca=True, force=force))
        problem = next(problem for problem in caught.value.problems if problem.where == str(path))
        assert said in problem.what and "mv " in problem.hint
    assert not list(set_up.paths.state.glob("*.bak-*"))


def test_half_a_pair_and_links_to_nowhere(set_up: Host) -> None:
    paths = set_up.paths
    paths.crt.unlink()
    paths.key.write_bytes(FOREIGN.key)
    with pytest.raises(BadInput) as caught:
        issue(set_up)
    assert [problem.where for problem in caught.value.problems] == [str(paths.key)]
    paths.key.unlink()
    paths.key.symlink_to("/nowhere/privkey.pem")
    with pytest.raises(BadInput) as caught:
        issue(set_up)
    assert "a link to /nowhere/privkey.pem, where no file is" in caught.value.problems[0].what
    (kept,) = issue(set_up, Order(force=True)).kept
    assert str(kept.readlink()) == "/nowhere/privkey.pem" and not Path("/nowhere").exists()


def test_a_setup_writes_into_no_link_that_leads_nowhere(host: Host) -> None:
    """A disk that is not mounted yet: what is there is the administrator's, whatever is behind it."""
    paths = host.paths
    paths.etc.mkdir(parents=True)
    away = paths.root / "away"
    away.mkdir()
    names = [paths.nginx_conf, paths.htpasswd, paths.ca_crt, paths.crt]
    for path in names:
        path.symlink_to(away / path.name)
    provision.provision(host, Snapshot(host.paths), Settings(), {}, create=True, restore=True)
    assert not list(away.iterdir())
    assert all(path.is_symlink() for path in names)
    assert paths.openssl_cnf.is_file() and not paths.key.exists()


# --- remedies


def test_gencert_is_no_remedy_for_what_is_not_ours(set_up: Host) -> None:
    paths = set_up.paths
    late = NOW + timedelta(days=395)
    before = certificate.read(Snapshot(paths), NOW, None).part
    (warning,) = certificate.read(Snapshot(paths), late, before).warnings
    assert warning.hint == "secure-registry gencert"
    linked(set_up, Leaf(by=OTHER, days=5).pair())
    found = certificate.read(Snapshot(paths), NOW, None)
    warning, alone = sorted(found.warnings, key=lambda one: "comes without" in one.what)
    assert "comes without the certificate of its issuer" in alone.what and "append to it" in alone.hint
    assert "gencert" not in warning.hint and "where it comes from" in warning.hint and "/live/" in warning.hint
    for now in (NOW + timedelta(days=30), NOW):
        if now is NOW:
            paths.key.unlink()
            paths.key.write_bytes(OTHER.key)
        (problem,) = certificate.read(Snapshot(paths), now, None).problems
        assert "gencert" not in problem.hint and problem.hint


# --- the CA


def broken(host: Host) -> None:
    host.paths.ca_key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def encrypted(host: Host) -> None:
    key = serialization.load_pem_private_key(host.paths.ca_key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.PKCS8
    host.paths.ca_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, locked))


LOST: dict[str, Callable[[Host], object]] = {
    "missing": lambda host: host.paths.ca_key.unlink(),
    "empty": lambda host: host.paths.ca_key.write_bytes(b""),
    "broken": broken,
    "encrypted": encrypted,
    "another's": lambda host: host.paths.ca_key.write_bytes(OTHER.key),
    "state is another one": lambda host: [path.unlink() for path in host.paths.state.iterdir() if path.is_file()],
}


def authorities(host: Host) -> dict[str, object]:
    return {path: data for path, data in snapshot(host.paths.root).items() if "/ca." in path}


@pytest.mark.promise("lost-ca-key")
@pytest.mark.parametrize("how", LOST)
def test_a_lost_ca_key_is_no_reason_for_another_ca(set_up: Host, how: str) -> None:
    paths = set_up.paths
    before = certificate.read(Snapshot(paths), NOW, None).part
    assert certificate.read(Snapshot(paths), NOW, before).warnings == ()
    LOST[how](set_up)
    seen = authorities(set_up)
    for known in (None, before):
        found = certificate.read(Snapshot(paths), NOW, known)
        assert found.part is not None and found.problems == ()
        (warning,) = found.warnings
        assert warning.where == str(paths.ca_key) and "is lost" in warning.what
    for force in (False, True):
        with pytest.raises(BadInput) as caught:
            issue(set_up, Order(force=force))
        assert caught.value.problems == (warning,)
        assert str(paths.ca_key) in warning.hint and "gencert --new-ca" in warning.hint and "client" in warning.hint
    assert not authority.due(Snapshot(set_up.paths), NOW + timedelta(days=390))
    for path in (paths.crt, paths.key):
        path.unlink()
    with pytest.raises(SecregError, match="is lost"):
        provision.provision(set_up, Snapshot(set_up.paths), Settings(), {}, create=True)
    assert authorities(set_up) == seen


def test_a_new_ca_keeps_the_old_one_in_state(set_up: Host) -> None:
    paths = set_up.paths
    old = ours.authority(Snapshot(paths)).pair
    assert old is not None
    done = issue(set_up, Order(new_ca=True))
    new = ours.authority(Snapshot(paths)).pair
    assert new is not None and new.key != old.key and paths.ca_crt.read_bytes() == new.crt
    kept = {path.name.partition(".bak-")[0]: path for path in done.kept}
    assert {path.parent for path in done.kept} == {paths.state}
    assert (kept["ca.crt"].read_bytes(), kept["ca.key"].read_bytes()) == (old.crt, old.key)
    assert kept["ca.key"].stat().st_mode & 0o777 == 0o600
    LOST["missing"](set_up)
    assert issue(set_up, Order(new_ca=True)).kept, "a lost key is what --new-ca is for"


def test_a_ca_that_came_back_from_a_backup_without_its_copy(set_up: Host) -> None:
    """ca.key was brought back; that state/ca.crt was not does not matter as long as /etc has it."""
    paths = set_up.paths
    before = paths.ca_crt.read_bytes()
    ours.kept_ca(paths).unlink()
    assert certificate.read(Snapshot(paths), NOW, None).warnings == ()
    issue(set_up)
    assert paths.ca_crt.read_bytes() == before
    assert is_issued_by(paths.crt.read_bytes(), before)


def test_a_ca_of_the_administrators_is_left_alone(host: Host) -> None:
    """Put there before the first setup, its key elsewhere; with a certificate of his or without one."""
    paths = host.paths
    paths.etc.mkdir(parents=True)
    theirs = Leaf(common="Company CA", is_ca=True, usage=("keyCertSign",)).pair()
    paths.ca_crt.write_bytes(theirs.crt)
    provision.provision(host, Snapshot(host.paths), Settings(), {}, create=True)
    assert paths.ca_crt.read_bytes() == theirs.crt
    found = certificate.read(Snapshot(paths), NOW, None)
    assert found.part is not None and found.warnings == ()
    crt, own = found.part.files[certificate.CRT], found.part.files[certificate.CA]
    assert own != theirs.crt and is_issued_by(crt, own), "clients get the one that signed"
    with pytest.raises(BadInput) as caught:
        issue(host, Order(new_ca=True))
    (problem,) = caught.value.problems
    assert problem.where == str(paths.ca_crt) and "gencert --new-ca --force" in problem.hint
    kept = issue(host, Order(new_ca=True, force=True)).kept
    assert theirs.crt in [path.read_bytes() for path in kept if path.parent == paths.etc]


def test_a_link_to_a_ca_that_is_away_is_left_alone(set_up: Host) -> None:
    """The host's own CA is in state/, but what /etc should show is the administrator's choice."""
    away = set_up.paths.root / "away.crt"
    set_up.paths.ca_crt.unlink()
    set_up.paths.ca_crt.symlink_to(away)
    assert authority.restore_ca(Snapshot(set_up.paths)) == []
    assert set_up.paths.ca_crt.is_symlink() and not away.exists()


def test_an_rsa_ca_of_the_administrators_signs(set_up: Host) -> None:
    """Who replaces both files in state/ by a CA of his own gets certificates of it, no traceback."""
    paths = set_up.paths
    key = rsa.generate_private_key(65537, 2048)
    leaf = replace(Leaf(common="Company CA", is_ca=True, usage=("keyCertSign",), names=()), key=key)
    # signed by itself
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.common)])
    ca = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=9))
        .not_valid_after(NOW + timedelta(days=900))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    paths.ca_key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    crt = ca.public_bytes(serialization.Encoding.PEM)
    ours.kept_ca(paths).write_bytes(crt)
    issue(set_up)
    assert is_issued_by(paths.crt.read_bytes(), crt)


# --- other files


@pytest.mark.parametrize("name", ["nginx_conf", "openssl_cnf", "conf", "registry_yml"])
def test_a_default_is_never_written_through_a_link(host: Host, name: str) -> None:
    """The same bytes as a default's, linked into a checkout: an edit, for who made the link manages it."""
    provision.provision(host, Snapshot(host.paths), Settings(), {}, create=True)
    path: Path = getattr(host.paths, name)
    checkout = host.paths.root / "checkout"
    checkout.mkdir()
    path.rename(checkout / path.name)
    path.symlink_to(checkout / path.name)
    before = (checkout / path.name).read_bytes()
    other = replace(Settings(), port=7777, o="Other", docker_trust="none")
    written = provision.provision(
        host, Snapshot(host.paths), other, {"PORT": "7777", "O": "Other"}, create=True
    ).written
    assert path.is_symlink() and (checkout / path.name).read_bytes() == before
    assert path not in written and written


def test_a_linked_htpasswd_is_nobodys_but_the_tools(host: Host) -> None:
    provision.provision(host, Snapshot(host.paths), Settings(), {}, create=True)
    path, shared = host.paths.htpasswd, host.paths.root / "shared"
    path.rename(shared)
    path.symlink_to(shared)
    before = shared.read_bytes()
    provision.provision(
        host, Snapshot(host.paths), replace(Settings(), username="other"), {}, create=True, restore=True
    )
    assert path.is_symlink() and shared.read_bytes() == before


def test_a_file_that_could_not_be_written_again_and_again_is_still_ours(set_up: Host) -> None:
    """Remembered before it is written: a disk that is read-only for a week must not end the renewals for good."""
    paths = set_up.paths
    for number in range(5):
        Ledger(paths).record([Write(paths.crt, b"%d" % number), Write(paths.key, b"%d" % number)])
    assert authority.due(Snapshot(set_up.paths), NOW + timedelta(days=300))
    assert issue(set_up).kept == ()
