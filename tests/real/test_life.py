"""Starting, stopping, dying, setting up twice, at once, and being killed on the way."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.real.conftest import new_instance
from tests.real.program import NOBODY, PYTHON, Instance, free_port
from tests.unit.pki.test_clientrules import OTHER, Leaf

SECRETS = {".password": 0o600, ".htpasswd": 0o640, "docker-registry.key": 0o600, "secure-registry.conf": 0o640}


def children(instance: Instance, name: str) -> list[int]:
    """The processes of this instance whose command line has `name`."""
    listing = subprocess.run(["ps", "-wweo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in listing.splitlines() if str(instance.root) in line and name in line]


class Killed(Instance):
    """An instance whose commands can be killed at a step of theirs (killed.py)."""

    def _argv(self, *args: str) -> list[str]:
        argv = super()._argv(*args)
        place = argv.index(str(self.program))
        return [*argv[:place], str(self.root / "killed.py"), *argv[place:]]

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        return super()._environment({"KILLED_AT": "1000000", **given})

    def pair(self) -> bytes:
        """The certificate; it goes with its key and with the CA, and there is nothing to be finished."""
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            self.etc / "docker-registry.crt", self.etc / "docker-registry.key"
        )
        crt = self.etc / "docker-registry.crt"
        subprocess.run(["openssl", "verify", "-CAfile", self.etc / "ca.crt", crt], check=True, capture_output=True)
        assert not (self.lib / "state/pending").exists()
        return crt.read_bytes()


@pytest.mark.promise("names-of-the-original", "secret-modes")
def test_setup_writes_every_file_of_the_original(instance: Instance) -> None:
    done = instance.run("setup", PORT=str(instance.port))
    assert (done.returncode, done.stderr) == (0, "")
    found = {path.name for path in instance.etc.iterdir()}
    assert found == {
        "nginx.conf", "openssl.cnf", "docker-registry.yml", "docker-registry.crt", "docker-registry.key", ".htpasswd",
        ".password", "ca.crt", "secure-registry.conf",
    }  # fmt: skip
    for name, mode in SECRETS.items():
        assert (instance.etc / name).stat().st_mode & 0o777 == mode, name
    for path in (instance.lib / "state").iterdir():
        assert path.stat().st_mode & 0o077 == 0 or path.name == "ca.crt", path
    assert "PASSWORD=" not in done.stdout and instance.password not in done.stdout


@pytest.mark.promise("setup-changes-nothing")
def test_a_second_setup_changes_nothing(instance: Instance) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = {}
        for folder in (instance.etc, instance.lib):
            for path in folder.rglob("*"):
                status = path.lstat()
                found[str(path)] = (status.st_mtime_ns, status.st_ino)
        return found

    instance.run("setup", PORT=str(instance.port))
    instance.run("setup")
    before = {path: mark for path, mark in state().items() if "/generations" not in path}
    assert instance.run("setup").returncode == 0
    assert {path: mark for path, mark in state().items() if "/generations" not in path} == before


def test_what_a_setup_found_good_is_not_tried_again_until_it_starts(instance: Instance) -> None:
    tried, nginx = instance.root / "tried", instance.root / "nginx"
    nginx.write_text(f'#!/bin/sh\necho "$@" >> {tried}\nexec /usr/sbin/nginx "$@"\n')
    nginx.chmod(0o755)
    tried.touch(0o666)
    tried.chmod(0o666)

    def tests(*command: str, **settings: str) -> int:
        before = tried.read_text().count(" -t\n")
        done = instance.run(*command, **settings)
        assert done.returncode == 0, done.stderr
        return tried.read_text().count(" -t\n") - before

    assert tests("setup", PORT=str(instance.port), NGINX_BINARY=str(nginx)) > 1
    assert tests("setup") == 0
    instance.edit("nginx.conf", "worker_processes", "# edited\nworker_processes")
    assert tests("setup") == 2
    assert tests("setup") == 0
    instance.edit("nginx.conf", "worker_processes", "nonsense; worker_processes")
    assert instance.run("setup").returncode == instance.run("setup").returncode == 2
    instance.edit("nginx.conf", "nonsense; ", "")
    assert tests("setup") == 2
    before = tried.read_text().count(" -t\n")
    instance.start()
    assert tried.read_text().count(" -t\n") - before == 2


@pytest.mark.promise("password-is-only-a-hash")
def test_a_password_that_is_given_is_used_and_stays_out_of_sight(instance: Instance) -> None:
    instance.start(USERNAME="crazy", PASSWORD="fool-of-a-took")
    assert instance.ask("/v2/", user="crazy", password="fool-of-a-took").status == 200
    assert not (instance.etc / ".password").exists()
    assert "fool-of-a-took" not in "".join(instance.said)
    for folder in (instance.etc, instance.lib, instance.root / "var/log"):
        for path in folder.rglob("*"):
            assert not path.is_file() or b"fool-of-a-took" not in path.read_bytes(), path


@pytest.mark.promise("new-first-user")
def test_the_password_is_printed_to_a_terminal_only(instance: Instance) -> None:
    done = instance.run("setup", PORT=str(instance.port))
    password = (instance.etc / ".password").read_text().strip()
    assert password not in done.stdout + done.stderr and str(instance.etc / ".password") in done.stdout
    for path in (".password", ".htpasswd"):
        (instance.etc / path).unlink()
    shown = instance.on_terminal("setup")
    assert f"PASSWORD={(instance.etc / '.password').read_text().strip()}" in shown


@pytest.mark.promise("made-up-password")
def test_a_password_file_that_is_provided_is_used(instance: Instance) -> None:
    instance.etc.mkdir(parents=True)
    instance.write(".password", "provided-one\n")
    subprocess.run(["chown", "-R", "nobody", instance.root / "etc"], check=False)
    instance.start()
    assert instance.ask("/v2/", user="docker", password="provided-one").status == 200


def test_credentials_follow_the_settings_until_htpasswd_is_edited(instance: Instance) -> None:
    instance.start()
    assert instance.ask("/v2/", user="docker").status == 200
    instance.write(".password", "another-one\n")
    instance.reload()
    assert instance.ask("/v2/", user="docker", password="another-one").status == 200
    instance.take_over("htpasswd", "-b", "docker", "by-hand")
    instance.write(".password", "a-third-one\n")
    said = instance.reload()
    assert ".password:1: the password has no effect: user docker has another password in" in said and "-one" not in said
    assert instance.ask("/v2/", user="docker", password="by-hand").status == 200


@pytest.mark.promise("made-up-password")
def test_a_password_given_later_outlasts_the_one_that_was_made_up(instance: Instance) -> None:
    """.password would say a password that does not count any more, and come back with the next edit of the settings."""
    assert instance.run("setup", PORT=str(instance.port)).returncode == 0
    made = (instance.etc / ".password").read_text().strip()
    assert instance.run("setup", USERNAME="crazy", PASSWORD="fool").returncode == 0
    assert (instance.etc / ".password").exists(), "it is still that of user docker"
    instance.start()
    assert instance.ask("/v2/", user="crazy", password="fool").status == 200
    assert instance.ask("/v2/", user="docker", password=made).status == 200
    assert instance.run("setup", USERNAME="docker", PASSWORD="other").returncode == 0
    assert not (instance.etc / ".password").exists(), "it is nobody's any more"
    instance.reload()
    assert [instance.ask("/v2/", user="docker", password=word).status for word in ("other", made)] == [200, 401]
    instance.edit("secure-registry.conf", "#CERT_DAYS=397", "CERT_DAYS=300")
    assert "USERNAME" not in instance.reload()
    instance.edit("secure-registry.conf", "USERNAME=docker", "USERNAME=frida")
    assert "USERNAME=frida has no effect" in instance.reload()
    assert instance.ask("/v2/", user="crazy", password="fool").status == 200


def test_a_password_that_contradicts_the_file_that_was_provided_is_refused(instance: Instance) -> None:
    instance.etc.mkdir(parents=True)
    instance.write(".password", "provided-one\n")
    subprocess.run(["chown", "-R", "nobody", instance.root / "etc"], check=False)
    done = instance.run("setup", PASSWORD="another-one")
    assert done.returncode == 2 and "PASSWORD: differs from" in done.stderr and ".password" in done.stderr
    assert "-one" not in done.stderr
    assert not (instance.etc / ".htpasswd").exists()


@pytest.mark.promise("disposable")
def test_a_disposable_instance_leaves_nothing(instance: Instance) -> None:
    def leftovers() -> set[str]:
        return {path.name for path in Path("/tmp").glob("secure-registry-*")}

    before = leftovers()
    process = instance.popen("start", "--foreground", "--disposable", PORT=str(instance.port))
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("log in with"):
            break
    with socket.create_connection(("127.0.0.1", instance.port), 5):
        pass
    assert len(leftovers()) == len(before) + 1
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert leftovers() == before


@pytest.mark.parametrize("name", ["registry@a", "auth", "nginx"])
def test_one_child_dies_all_stop(instance: Instance, name: str) -> None:
    instance.start()
    if name == "registry@a":
        pid = children(instance, "slots/")[0]
    else:
        folder = {"auth": "auth", "nginx": "front"}[name]
        pid = int((instance.root / f"run/secure-registry/{folder}/nginx.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert instance.process is not None
    assert instance.process.wait(30) == 1
    instance.wait_for("the last line", lambda: instance.has_said(f"{name} was killed by SIGKILL"))
    assert "everything is stopped" in instance.said[-1]
    instance.wait_for("their end", lambda: not children(instance, "slots/") and not children(instance, "current/"))


def test_stop_comes_back_when_all_has_ended(instance: Instance) -> None:
    instance.start()
    assert instance.process is not None
    assert instance.run("stop").returncode == 0
    assert instance.process.poll() == 0
    assert not children(instance, "slots/") and not children(instance, "current/")


def test_start_of_one_that_runs_takes_over_what_is_new_and_says_how_to_log_in(instance: Instance) -> None:
    instance.start()
    registry = children(instance, "slots/")
    instance.edit("docker-registry.yml", "level: ", "level: debug # ")
    done = instance.run("start")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "log in with: docker login " in done.stdout and f":{instance.port}\n" in done.stdout
    assert instance.process is not None and instance.process.poll() is None
    assert children(instance, "slots/") != registry
    assert instance.ask("/v2/", user="docker").status == 200


def test_sigterm_stops_all_and_a_restart_keeps_images(instance: Instance) -> None:
    instance.start()
    begun = instance.ask("/v2/kept/blobs/uploads/", "POST", user="docker")
    digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    done = instance.ask(f"{begun.headers['Location']}&digest={digest}", "PUT", user="docker", body=b"hello")
    assert done.status == 201
    assert instance.stop() == 0
    assert children(instance, str(instance.root)) == []
    instance.start()
    assert instance.ask(f"/v2/kept/blobs/{digest}", user="docker").body == b"hello"


@pytest.mark.promise("taken-port")
def test_a_taken_port_is_named_and_nothing_is_left_running(instance: Instance) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = instance.run("start", "--foreground", PORT=str(port))
        assert not (instance.etc / "secure-registry.conf").exists()
        assert instance.run("setup", PORT=str(instance.port)).returncode == 0
        instance.write("secure-registry.conf", f"# here\nPORT={port}\n")
        done = instance.run("start", "--foreground")
    for one, code, where in ((refused, 2, "environment variable PORT"), (done, 1, "secure-registry.conf:2")):
        assert one.returncode == code and f"{where}: port {port} (*:{port}) is used by" in one.stderr
        assert "set PORT" in one.stderr
    assert children(instance, str(instance.root)) == []


@pytest.mark.promise("nothing-proven-nothing-listens")
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"NGINX_BINARY": "/nowhere/nginx"}, "program not found: /nowhere/nginx"),
        ({"REGISTRY_BINARY": "/nowhere/registry"}, "program not found: /nowhere/registry"),
        ({"REGISTRY_BINARY": "/bin/false"}, "/bin/false is not distribution's registry"),
        ({"REGISTRY_HOST": "does-not-exist.invalid"}, "nothing knows this host name"),
        ({"PORT": "0", "C": "AUS"}, "C: not a country code"),
    ],
)
def test_a_first_start_that_can_not_be(instance: Instance, setting: dict[str, str], said: str) -> None:
    done = instance.run("start", "--foreground", **{"PORT": str(instance.port)} | setting)
    assert done.returncode in (1, 2) and said in done.stderr, done.stderr
    assert "\n  -> " in done.stderr and "Traceback" not in done.stderr
    assert children(instance, str(instance.root)) == []


def test_without_root_the_machines_own_instance_is_refused(instance: Instance) -> None:
    process = instance.popen("setup")
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 2 and "this needs root" in said and "--root DIR" in said


@pytest.mark.promise("registry-elsewhere")
def test_a_registry_of_somebody_elses(instance: Instance, program: Path) -> None:
    """REGISTRY_HOST: no registry of our own, requests go there."""
    port = free_port()
    conf = instance.root / "other.yml"
    conf.write_text(f"version: 0.1\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n")
    other = subprocess.Popen(["docker-registry", "serve", conf], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        instance.start(REGISTRY_HOST="127.0.0.1", REGISTRY_PORT=str(port))
        assert instance.ask("/v2/").status == 401
        instance.wait_for("the other registry", lambda: instance.ask("/v2/", user="docker").status == 200)
        assert children(instance, "slots/") == []
    finally:
        other.kill()
        other.wait()


def test_a_run_directory_that_goes_while_nginx_is_asked(instance: Instance) -> None:
    """systemd removes it when a process of ours fails to start: that says nothing about nginx.conf."""
    script, run = instance.root / "nginx", instance.root / "run/secure-registry/front"
    script.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *front/nginx.conf*-t) mkdir {instance.root}/once 2>/dev/null && rm -r {run};; esac\n'
        'exec /usr/sbin/nginx "$@"\n'
    )
    script.chmod(0o755)
    done = instance.run("setup", PORT=str(instance.port), NGINX_BINARY=str(script))
    assert (done.returncode, done.stderr) == (0, "") and (instance.root / "once").is_dir()


def test_two_setups_at_once(instance: Instance) -> None:
    running = [instance.popen("setup", "--root", str(instance.root), PORT=str(instance.port)) for _ in range(3)]
    said = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sum("wrote" in text for text in said) == 1
    instance.start()
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("killed-runs")
def test_a_killed_setup_is_finished_by_the_next(instance: Instance) -> None:
    """SIGKILL after a random time, again and again: the next run always comes through, and the pair always matches."""
    seed = random.Random(7)
    for _ in range(25):
        process = instance.popen("setup", "--root", str(instance.root), PORT=str(instance.port))
        time.sleep(seed.uniform(0.05, 0.6))  # the moment is what is tried, not waited for
        process.kill()
        process.wait()
        if seed.random() < 0.3:
            subprocess.run(["find", instance.root, "-mindepth", "1", "-delete"], check=True)
    done = instance.run("setup", PORT=str(instance.port))
    assert done.returncode == 0, done.stderr
    assert not list((instance.lib / "generations").glob(".stage-*"))
    instance.start()
    assert instance.ask("/v2/", user="docker").status == 200


def test_a_killed_gencert_leaves_a_pair(program: Path) -> None:
    """Killed at each step of writing, what serves next is the old pair or the new one, never a mixture."""
    with new_instance(program, Killed) as instance:
        shutil.copy(Path(__file__).with_name("killed.py"), instance.root)
        assert instance.run("setup", PORT=str(instance.port)).returncode == 0
        pairs, ended = [instance.pair()], list[int]()
        while not ended or ended[-1] == -signal.SIGKILL:
            ended.append(instance.run("gencert", KILLED_AT=str(len(ended))).returncode)
            done = instance.run("setup")
            assert done.returncode == 0, done.stderr
            pairs.append(instance.pair())
        assert ended[-1] == 0, "it came to its end"
        outcomes = [now != before for before, now in itertools.pairwise(pairs)]
        assert {False, True} == set(outcomes[:-1]) and outcomes[-1], "some left the old one, some the new one"
        instance.start()
        assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("reissuing-touches-no-client")
def test_gencert_issues_anew_under_the_same_ca(instance: Instance) -> None:
    instance.start()
    before, ca = instance.served_fingerprint(), (instance.etc / "ca.crt").read_bytes()
    assert instance.run("gencert").returncode == 0
    instance.wait_for("the new certificate", lambda: instance.served_fingerprint() != before)
    assert (instance.etc / "ca.crt").read_bytes() == ca
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("ca-may-not-sign", "gencert")
def test_gencert_obeys_openssl_cnf_within_the_limits_of_the_ca(instance: Instance) -> None:
    instance.start(SERVER_NAME="registry.example.org")
    instance.edit(
        "openssl.cnf", "DNS.1 = registry.example.org", "DNS.1 = sub.registry.example.org\nDNS.9 = evil.example"
    )
    done = instance.run("gencert")
    assert done.returncode == 2
    assert "may not sign evil.example" in done.stderr and "gencert --new-ca" in done.stderr
    assert "sub.registry" not in done.stderr
    instance.edit("openssl.cnf", "DNS.9 = evil.example", "DNS.9 = registry.example.org")
    before = instance.served_fingerprint()
    assert instance.run("gencert").returncode == 0
    instance.wait_for("the new certificate", lambda: instance.served_fingerprint() != before)
    instance.edit("openssl.cnf", "IP.1", "IP.1 = 1.2.3.4.5\nOI.1")
    done = instance.run("gencert")
    assert done.returncode == 2 and re.search(r"openssl.cnf:\d+: IP: not an IP address", done.stderr)


@pytest.mark.promise("own-certificate-stays")
def test_gencert_replaces_what_is_not_ours_only_by_force_and_keeps_it(instance: Instance) -> None:
    """Judged by the client: what it gets over TLS; certbot's archive is as it was."""
    instance.start()
    archive = instance.root / "archive"
    archive.mkdir()
    names = ("docker-registry.crt", "docker-registry.key")
    for name in names:
        text = (instance.etc / name).read_bytes()
        (instance.etc / name).rename(archive / name)
        (archive / name).write_bytes(text + b"\n")  # by the same CA, so that the client goes on; but not our bytes
        (instance.etc / name).symlink_to(archive / name)
    before = {path.name: path.read_bytes() for path in archive.iterdir()}
    instance.reload()
    fingerprint = instance.served_fingerprint()
    assert instance.run("gencert").returncode == 0, "the certificate is of our CA, wherever it came from"
    assert instance.served_fingerprint() != fingerprint and (instance.etc / names[1]).is_symlink(), "the key stays"
    fingerprint = instance.served_fingerprint()
    done = instance.run("gencert", "--force")
    assert done.returncode == 0 and "docker-registry.key.bak-" in done.stdout, done
    assert instance.served_fingerprint() != fingerprint
    assert instance.ask("/v2/", user="docker").status == 200
    assert {path.name: path.read_bytes() for path in archive.iterdir()} == before


@pytest.mark.promise("renewal")
def test_ours_that_came_back_from_a_backup_is_issued_anew_by_itself(instance: Instance) -> None:
    """Judged by the client. Seen: of what nobody remembered to have written, names were never changed again."""
    instance.start()
    files = {name: (instance.etc / name).read_bytes() for name in ("docker-registry.crt", "docker-registry.key")}
    first = instance.served_fingerprint()
    assert instance.run("gencert").returncode == 0
    instance.wait_for("another one", lambda: instance.served_fingerprint() != first)
    for name, data in files.items():
        instance.write(name, data)
    (instance.lib / "state/written.json").unlink()
    assert "serve" in instance.reload() and instance.served_fingerprint() == first
    instance.edit("openssl.cnf", "DNS.1 = ", "DNS.9 = new.localhost\nDNS.1 = ")
    instance.reload()
    with socket.create_connection(("127.0.0.1", instance.port), 10) as plain:
        with instance.context().wrap_socket(plain, server_hostname="new.localhost") as link:
            assert link.version()
    assert instance.served_fingerprint() != first


@pytest.mark.promise("lost-ca-key")
def test_without_the_key_of_the_ca_no_client_is_put_out(instance: Instance) -> None:
    instance.start()
    key, ca = instance.lib / "state/ca.key", (instance.etc / "ca.crt").read_bytes()
    kept = key.read_bytes()
    key.unlink()
    fingerprint = instance.served_fingerprint()
    for asked in (("gencert",), ("gencert", "--force")):
        done = instance.run(*asked)
        assert done.returncode == 2 and str(key) in done.stderr and "is lost" in done.stderr
    assert "is lost" in instance.run("status").stdout, "at once, without an apply"
    assert "is lost" in instance.reload()
    assert (instance.etc / "ca.crt").read_bytes() == ca and instance.served_fingerprint() == fingerprint
    key.write_bytes(kept)
    key.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(key, NOBODY, NOBODY)
    assert "is lost" not in instance.run("status").stdout
    assert instance.run("gencert").returncode == 0
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("gencert")
def test_an_openssl_cnf_that_no_client_would_take_keeps_what_works(instance: Instance) -> None:
    instance.start()
    fingerprint = instance.served_fingerprint()
    instance.edit("openssl.cnf", "digitalSignature, keyEncipherment", "keyEncipherment")
    instance.edit("openssl.cnf", "DNS.1 ", "DNS.9 = more.localhost\nDNS.1 ")
    line = (instance.etc / "openssl.cnf").read_text().splitlines().index("keyUsage         = keyEncipherment") + 1
    said = instance.reload()
    assert f"openssl.cnf:{line}: no client takes it without digitalSignature" in said, said
    assert instance.served_fingerprint() == fingerprint
    assert instance.ask("/v2/", user="docker").status == 200
    instance.edit("openssl.cnf", "= keyEncipherment", "= digitalSignature")
    instance.reload()
    assert instance.served_fingerprint() != fingerprint
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("uninstall")
def test_uninstall_stops_what_runs_first(instance: Instance) -> None:
    instance.start()
    begun = instance.ask("/v2/kept/blobs/uploads/", "POST", user="docker")
    assert begun.status == 202
    done = instance.run("uninstall")
    assert done.returncode == 0, done
    assert instance.process is not None and instance.process.wait(30) == 0
    assert children(instance, str(instance.root)) == []
    assert not (instance.root / "run/secure-registry").exists()
    assert (instance.etc / "docker-registry.key").exists() and (instance.lib / "state/ca.key").exists()
    instance.process = None
    instance.start()
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("settings")
def test_rsa_on_request(instance: Instance) -> None:
    instance.start(KEY_TYPE="RSA-4096")
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", instance.etc / "docker-registry.crt"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "4096 bit" in text
    assert instance.ask("/v2/", user="docker").status == 200


@pytest.mark.promise("environment-lasts")
def test_the_environment_lasts(instance: Instance) -> None:
    """What setup was given goes into secure-registry.conf: the next start, without it, means the same."""
    assert instance.run("setup", PORT=str(instance.port), SERVER_NAME="a.example", O="Our own").returncode == 0
    text = (instance.etc / "secure-registry.conf").read_text()
    assert f"\nPORT={instance.port}\n" in text and "\nSERVER_NAME=a.example\n" in text and '\nO="Our own"\n' in text
    before = (instance.etc / "nginx.conf").read_bytes()
    assert instance.run("setup").returncode == 0
    assert (instance.etc / "nginx.conf").read_bytes() == before


@pytest.mark.promise("refused-as-a-whole")
def test_what_is_refused_changes_nothing(instance: Instance) -> None:
    """Seen: USERNAME and PASSWORD were lost without a word while another setting was bad, that one was written all the
    same, and `status` went on telling of the call."""
    instance.start()
    conf = (instance.etc / "secure-registry.conf").read_text() + "O=Mine\n"
    instance.write("secure-registry.conf", conf)
    instance.reload()

    def left() -> list[str]:
        found = json.loads(instance.run("status", "--json").stdout)
        files = [(instance.etc / name).read_text() for name in ("secure-registry.conf", ".htpasswd")]
        return [*files, str([found["rejected"], found["warnings"]])]

    none: dict[str, str] = {}
    user, before = {"USERNAME": "lost", "PASSWORD": "lost1"}, left()
    for environment, said in (
        ({"REGISTRY_HOST": "no.such.invalid"}, "environment variable REGISTRY_HOST: nothing knows this host name"),
        ({"NGINX_BINARY": "/no/nginx"}, "environment variable NGINX_BINARY: program not found"),
        ({"PORT": "x"}, "environment variable PORT: not a whole number"),
    ):
        for more in (none, user):
            done = instance.run("setup", **{**environment, **more})
            assert done.returncode == 2 and said in done.stderr and left() == before, done.stderr
    instance.write("secure-registry.conf", f"{conf}nonsense line\n")
    instance.reload()
    before = left()
    for environment in ({"SERVER_NAME": "a.example"}, user):
        done = instance.run("setup", **environment)
        assert done.returncode == 2 and "secure-registry.conf:" in done.stderr and left() == before, done.stderr
    instance.write("secure-registry.conf", conf)
    assert instance.run("setup", **user).returncode == 0
    assert instance.ask("/v2/", user="lost", password="lost1").status == 200


@pytest.mark.promise("names-wait-for-certificate")
def test_names_wait_for_their_certificate(instance: Instance) -> None:
    """Whichever of the two is changed first. Seen: the names served, with a warning, and then `status` was CRITICAL."""

    def bring(name: str) -> None:
        pair = Leaf(names=(name,), by=OTHER).pair()
        instance.write("docker-registry.crt", pair.crt)
        instance.write("docker-registry.key", pair.key)

    def set_name(name: str) -> None:
        instance.write("secure-registry.conf", f"{conf}SERVER_NAME={name}\n")

    instance.start()
    conf = (instance.etc / "secure-registry.conf").read_text()
    line = conf.count("\n") + 1
    bring("a.example")
    assert "rejected" not in instance.reload()
    set_name("b.example")
    said = instance.reload()
    assert f"rejected: {instance.etc}/secure-registry.conf:{line}: the certificate is for none of b.example" in said
    assert "b.example" not in (instance.etc / "nginx.conf").read_text()
    bring("b.example")
    assert "rejected" not in instance.reload()
    assert "b.example" in (instance.etc / "nginx.conf").read_text()
    before = instance.served_fingerprint()
    bring("c.example")
    assert "rejected" in instance.reload() and instance.served_fingerprint() == before
    set_name("c.example")
    assert "rejected" not in instance.reload() and instance.served_fingerprint() != before


def test_a_killed_parent_leaves_nothing_running(instance: Instance) -> None:
    instance.start()
    parent = instance.process
    assert parent is not None
    for pid in children(instance, "secure-registry start"):
        os.kill(pid, signal.SIGKILL)
    parent.wait(30)
    instance.wait_for("their end", lambda: not children(instance, "slots/") and not children(instance, "current/"))


def test_a_registry_of_version_three(instance: Instance) -> None:
    """A stand-in, for nobody packages 3.x: Debian's registry behind a script that differs where 3.x does."""
    stand_in = instance.root / "registry"
    stand_in.write_text(
        "#!/bin/sh\n"
        '[ "$1" != --version ] || { echo "registry github.com/distribution/distribution/v3 v3.0.0"; exit; }\n'
        '[ "$OTEL_TRACES_EXPORTER" = none ] || { echo "panic: no collector of traces" >&2; exit 2; }\n'
        'grep -q "^  oss:" "$2" && { echo "panic: StorageDriver not registered: oss" >&2; exit 2; }\n'
        'exec docker-registry "$@"\n'
    )
    stand_in.chmod(0o755)
    instance.start(REGISTRY_BINARY=str(stand_in))
    assert instance.ask("/v2/_catalog", user="docker").status == 200
    before = instance.edit("docker-registry.yml", "  filesystem:", "  oss:")
    line = before[: before.index("  filesystem:")].count("\n") + 1
    answer = instance.reload()
    assert f"docker-registry.yml:{line}: this registry ({stand_in}, version 3.0.0)" in answer
    assert "has no such storage driver: oss" in answer
    assert "REGISTRY_BINARY to a registry 2.8" in answer
    assert instance.ask("/v2/_catalog", user="docker").status == 200


def test_nobody_listens_any_more(program: Path) -> None:
    """As with `| head -1`. Seen: 120, for Python tried once more to write what was left."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PYTHON, "-IB", program, "help"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_an_output_that_is_full_is_told(program: Path) -> None:
    for argv, code in ((["help"], 1), (["status", "--check", "--root", "/none"], 3)):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([PYTHON, "-IB", program, *argv], stdout=full, stderr=subprocess.PIPE, text=True)
        said = "secure-registry: cannot write what is to be said: No space left on device\n"
        assert (done.returncode, done.stderr) == (code, said)
