"""Passwords: checked once for many, remembered in memory alone, and wrong ones wait without making others wait."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import hashlib
import os
import select
import shutil
import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from secreg_host.base import crypt
from tests.real.program import Instance
from tests.unit.formats.test_users import OF_CRYPT

SHARED_MEMORY = Path("/dev/shm")


def add_user(instance: Instance, name: str, password: str) -> None:
    instance.take_over("htpasswd", "-i", name, input=f"{password}\n")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def checking_time(instance: Instance) -> int:
    """CPU time (ticks) that went into checking passwords."""
    assert instance.process is not None
    argv = ["pgrep", "-P", str(instance.process.pid), "-f", "current/auth/"]
    (master,) = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    workers = subprocess.run(["pgrep", "-P", master], capture_output=True, text=True, check=True).stdout.split()
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in workers]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats)


@pytest.mark.promise("empty-passwords")
def test_an_empty_password_is_none(serving: Instance) -> None:
    """Whatever the hash; for crypt(3), what begins with NUL is empty, too. One that ends with a colon is not."""
    import bcrypt

    users = (serving.etc / ".htpasswd").read_text()
    users += f"bcrypt:{bcrypt.hashpw(b'', bcrypt.gensalt(4)).decode()}\nsha:{{SHA}}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n"
    users += "".join(f"{'x' * number}:{bcrypt.hashpw(b'a::', bcrypt.gensalt(4)).decode()}\n" for number in (1, 2, 3))
    serving.write(".htpasswd", users)
    said = serving.reload()
    assert f"{serving.etc}/.htpasswd:3: the password of user 'sha' is empty" in said
    wrong = serving.ask("/v2/", user="bcrypt", password="x")
    for user, password in (("bcrypt", ""), ("bcrypt", "\0x"), ("sha", ""), ("sha", "\0")):
        answer = serving.ask("/v2/", user=user, password=password)
        assert (answer.status, answer.headers.keys(), answer.body) == (401, wrong.headers.keys(), wrong.body)
    assert [serving.ask("/v2/", user="x" * number, password="a::").status for number in (1, 2, 3)] == [200] * 3
    for words in (["-b", "carol", ""], ["-i", "carol"]):
        done = serving.run("htpasswd", *words)
        assert done.returncode == 2 and "it is empty" in done.stderr
    assert "carol" not in (serving.etc / ".htpasswd").read_text()


@pytest.mark.parametrize("name", ["x\nFAKE-alice was removed\n<2>FAKE", "FAKE\r", "FAKE\x1b[31m", "FAKE\x7f"])
def test_a_name_makes_no_lines_in_the_journal(serving: Instance, name: str) -> None:
    assert serving.ask("/v2/", user=name, password="x").status == 401
    assert serving.ask("/v2/", user="nobody-of-the-kind", password="x").status == 401
    serving.wait_for("what is said of others", lambda: serving.has_said("secure-registry-nobody-"))
    assert not serving.has_said("FAKE")


@pytest.mark.promise("nothing-hides-from-logs")
@pytest.mark.parametrize("form", ["\t{}", "{}\t", "{} \t "])
def test_who_has_no_name_for_the_front_gets_nothing(serving: Instance, form: str) -> None:
    """Seen: a tab beside a right password let in somebody of whom the access log had no name."""
    add_user(serving, "alice", "right")
    header = {"Authorization": form.format(basic("alice", "right").rstrip("="))}
    assert serving.ask("/v2/", headers=header).status in (400, 401)


@pytest.mark.promise("names-take-the-same-time")
@pytest.mark.parametrize("length", [1000, 6080, 6100, 6108, 6112])
def test_a_long_password_tells_no_name(serving: Instance, length: int) -> None:
    """Seen: 503 for a name that nobody has, 401 for others: what was asked instead was too long for the check."""
    told = {serving.ask("/v2/", user=name, password="p" * length).status for name in ("docker", "nobody")}
    assert told == {401}


def test_what_nginx_passes_on_to_crypt_lets_in(serving: Instance) -> None:
    """Seen: users of an older system with $7$ or BSDi hashes, locked out: "is not a hash that nginx knows"."""
    made = [crypt._crypt()(b"geheim und viel laenger als acht", one.encode()).decode() for one in OF_CRYPT.values()]
    serving.write(".htpasswd", "".join(f"user{number}:{value}\n" for number, value in enumerate(made)))
    assert "is not a hash" not in serving.reload()
    for number in range(len(made)):
        asked = [(f"user{number}", "geheim und viel laenger als acht", 200), (f"user{number}", "falsch", 401)]
        for user, password, status in asked:
            assert serving.ask("/v2/", user=user, password=password).status == status, made[number]


def test_many_first_requests_cost_one_hash(serving: Instance) -> None:
    serving.write(".htpasswd", (serving.etc / ".htpasswd").read_text())
    add_user(serving, "alice", "one")
    before = checking_time(serving)
    assert serving.ask("/v2/", user="alice", password="wrong").status == 401
    one = checking_time(serving) - before
    assert one > 0
    before = checking_time(serving)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: serving.ask("/v2/", user="alice", password="one").status, range(20)))
    assert answers == [200] * 20
    assert checking_time(serving) - before < 4 * one
    before = checking_time(serving)
    assert [serving.ask("/v2/", user="alice", password="one").status for _ in range(20)] == [200] * 20
    assert checking_time(serving) - before < one


def murmur(data: bytes) -> int:
    """MurmurHash2 as split_clients has it (ngx_murmur_hash2)."""
    mask, factor = 0xFFFFFFFF, 0x5BD1E995
    found = len(data)
    while len(data) >= 4:
        word = int.from_bytes(data[:4], "little") * factor & mask
        word = (word ^ word >> 24) * factor & mask
        found = (found * factor & mask) ^ word
        data = data[4:]
    if data:
        found = (found ^ int.from_bytes(data, "little")) * factor & mask
    found = (found ^ found >> 13) * factor & mask
    return found ^ found >> 15


MARKS = ("secreg_mark", "secreg_marks", "secreg_marked")


def mark(name: str, header: str) -> int:
    """One of the parts of the cache's key that come from the password: a hash in 64 parts."""
    return min(murmur(f"{name}{header}".encode()) * 10000 // 0xFFFFFFFF // 156, 63)


@pytest.mark.promise("remembered-passwords")
def test_what_is_remembered_lets_in_nobody_but_who_was_checked(serving: Instance) -> None:
    """A wrong password with the same key as the right one, as one in 262,144 is; whatever nginx.conf drops."""
    add_user(serving, "alice", "one")
    right = basic("alice", "one")
    same = (f"x{number}" for number in range(4_000_000))
    wrong = next(word for word in same if all(mark(name, basic("alice", word)) == mark(name, right) for name in MARKS))

    def answers() -> list[int]:
        words = ["one", wrong, "one", wrong, "one"]
        return [serving.ask("/v2/", user="alice", password=word).status for word in words]

    assert answers() == [200, 401, 200, 401, 200]
    memory = [data for _, data in texts_in(memory_of(serving))]
    key = f" {' '.join(str(mark(name, right)) for name in MARKS)} alice\n".encode()
    assert any(key in data for data in memory), "it is remembered, by this key"

    serving.edit("nginx.conf", "http {", "http {\n    proxy_ignore_headers Vary;\n    proxy_hide_header Vary;")
    serving.reload()
    add_user(serving, "alice", "one")
    assert answers() == [200, 401, 200, 401, 200]


def test_a_right_password_does_not_wait_for_wrong_ones_of_the_same_user(serving: Instance) -> None:
    """Of docker's none is remembered yet. Who stands in line for a lock of the cache waits half a second each time."""
    add_user(serving, "docker", "right")
    with asking(serving, [f"wrong {number}" for number in range(25)]):
        begun = time.monotonic()
        assert serving.ask("/v2/", user="docker", password="right").status == 200
        assert time.monotonic() - begun < 5


@pytest.mark.promise("epochs")
def test_a_change_of_users_counts_at_once(serving: Instance) -> None:
    add_user(serving, "alice", "first")
    assert serving.ask("/v2/", user="alice", password="second").status == 401
    assert serving.ask("/v2/", user="alice", password="first").status == 200
    add_user(serving, "alice", "second")
    assert serving.ask("/v2/", user="alice", password="second").status == 200
    assert serving.ask("/v2/", user="alice", password="first").status == 401
    serving.take_over("htpasswd", "-D", "alice")
    assert serving.ask("/v2/", user="alice", password="second").status == 401
    add_user(serving, "alice", "first")  # what was remembered for the first set of users does not count for this one
    assert serving.ask("/v2/", user="alice", password="second").status == 401


def test_a_password_is_checked_before_the_body_comes(serving: Instance) -> None:
    add_user(serving, "alice", "right")
    for password, status in (("wrong", b"401"), ("right", b"404")):
        head = f"GET /v2/none/tags/list HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic('alice', password)}\r\n"
        with connected(serving) as link:
            link.sendall(f"{head}Content-Length: 5\r\n\r\n".encode())
            link.settimeout(20)
            if password == "right":  # the registry may wait for the body, which comes once the password is right
                link.sendall(b"12345")
            assert link.recv(65536).startswith(b"HTTP/1.1 " + status)


@contextmanager
def connected(instance: Instance) -> Iterator[ssl.SSLSocket]:
    plain = socket.create_connection(("127.0.0.1", instance.port), 30)
    with instance.context().wrap_socket(plain, server_hostname="localhost") as link:
        yield link


@contextmanager
def asking(instance: Instance, passwords: list[str]) -> Iterator[list[ssl.SSLSocket]]:
    """Connections on each of which one request with a password of user docker is under way."""
    with ExitStack() as stack:
        links = []
        for password in passwords:
            link = stack.enter_context(connected(instance))
            head = f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic('docker', password)}\r\n\r\n"
            link.sendall(head.encode())
            links.append(link)
        yield links


def answered(links: list[ssl.SSLSocket], seconds: float) -> list[bytes]:
    """The answers that are there, once there are any."""
    deadline = time.monotonic() + seconds
    while True:
        found = []
        for link in links:
            link.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):  # a session ticket makes it readable, too
                found.append(link.recv(65536))
        left = deadline - time.monotonic()
        if found or left <= 0:
            return found
        select.select(links, [], [], left)


@pytest.mark.promise("guessing-holds-up-nobody")
def test_wrong_passwords_wait_and_right_ones_do_not(serving: Instance) -> None:
    add_user(serving, "alice", "right")
    with asking(serving, [f"wrong {number}" for number in range(31)]) as links:
        assert serving.ask("/v2/", user="alice", password="right").status == 200  # her first login, same address
        assert serving.ask("/v2/", user="docker").status == 200
        # two answers a second: not all are there
        waiting = [link for link in links if not answered([link], 0)]
        assert waiting
        answers = answered(waiting, 10)
        assert answers
        for answer in answers:
            assert answer.startswith(b"HTTP/1.1 401 ") and b'Basic realm="Registry"' in answer


@pytest.mark.promise("guessing-holds-up-nobody")
def test_more_at_once_than_are_checked(serving: Instance) -> None:
    """None is answered by 5xx, which clients would repeat; who was in before stays in, who comes later gets in."""
    add_user(serving, "alice", "right")
    assert serving.ask("/v2/", user="docker").status == 200
    with asking(serving, [f"wrong {number}" for number in range(60)]) as links:
        seen = b""
        while b"HTTP/1.1 429 " not in seen:
            got = answered(links, 30)
            assert got, seen
            seen += b"".join(got)
            assert serving.ask("/v2/", user="docker").status == 200
        assert b"\r\nRetry-After: 5\r\n" in seen and b"TOOMANYREQUESTS" in seen
        assert b"HTTP/1.1 5" not in seen
    serving.wait_for("a login", lambda: serving.ask("/v2/", user="alice", password="right").status == 200)


def test_when_nobody_can_be_let_in_that_is_said(serving: Instance) -> None:
    """Until users are live, or when new ones can't be: a failure that passes, neither a wrong password nor too many."""
    add_user(serving, "carol", "right")  # who is not remembered
    (serving.root / "run/secure-registry/users/live").unlink()
    for user, password in (("carol", "right"), ("carol", "wrong"), ("nobody", "x")):
        answer = serving.ask("/v2/", user=user, password=password)
        assert answer.status == 503 and b"UNAVAILABLE" in answer.body
        assert answer.headers["Retry-After"] == "1"
    assert serving.ask("/v2/").status == 401


def memory_of(instance: Instance) -> Path:
    """Where it remembers passwords when its directory is on a disk."""
    name = hashlib.sha256(os.fsencode(instance.root.resolve())).hexdigest()[:16]
    return SHARED_MEMORY / f"secure-registry-{instance.root.stat().st_uid}-{name}"


def texts_in(*places: Path) -> Iterator[tuple[Path, bytes]]:
    for place in places:
        for folder, _, names in os.walk(place):
            for path in (Path(folder, name) for name in names):
                if path.is_file() and not path.is_symlink():
                    yield path, path.read_bytes()


@pytest.mark.promise("remembered-passwords")
def test_credentials_are_on_no_disk_and_in_no_log(instance: Instance) -> None:
    instance.start()
    password, wrong = instance.password, "Wr0ngButSecret"
    for path, method in (
        ("/v2/", "GET"),
        ("/v2/none/tags/list", "GET"),
        ("/v2/x/blobs/uploads/", "POST"),
        ("/", "GET"),
    ):
        assert instance.ask(path, method, user="docker").status < 500
        assert instance.ask(path, method, user="docker", password=wrong).status < 500
    instance.ask("/v2/" + "x" * 9000, user="docker")
    instance.ask("/v2/%00", user="docker")
    secrets = [text.encode() for text in (password, wrong, *(basic("docker", word)[6:] for word in (password, wrong)))]
    # its log is flushed each second
    log = instance.root / "var/log/secure-registry/access.log"
    instance.wait_for("the log", lambda: b"/v2/none/tags/list" in log.read_bytes())
    found = [path for path, data in texts_in(instance.root) if any(secret in data for secret in secrets)]
    assert found == [instance.etc / ".password"]
    assert not any(secret.decode() in line for secret in secrets for line in instance.said)

    memory = memory_of(instance)
    assert stat.S_IMODE(memory.stat().st_mode) == 0o700
    remembered = dict(texts_in(memory))
    assert any(data.endswith(b"\r\n\r\n") and b"docker" in data for data in remembered.values())
    assert not any(secret in data for secret in secrets for data in remembered.values())
    instance.stop()
    assert not memory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_a_directory_that_somebody_else_made_is_not_used(instance: Instance) -> None:
    memory = memory_of(instance)
    memory.mkdir(mode=0o777)
    try:
        instance.start()
        assert instance.ask("/v2/", user="docker").status == 200
        assert list(memory.iterdir()) == []
        assert "secreg_auth:" not in (instance.lib / "current/front/secure-registry/http.conf").read_text()
    finally:
        shutil.rmtree(memory)
