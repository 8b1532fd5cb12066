"""Floods of wrong passwords: who gets a turn, told by counting the passwords that were checked meanwhile."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.real.program import Answer, Instance
from tests.real.test_passwords import add_user, basic, checking_time

WIDTH = len(os.sched_getaffinity(0))
"""Passwords that are checked at a time."""

CLIENTS, EACH = 5, 12


def ask(instance: Instance, address: str, user: str, password: str) -> ssl.SSLSocket:
    """A request from `address` of this host's that is under way."""
    plain = socket.create_connection(("127.0.0.1", instance.port), 60, (address, 0))
    link = instance.context().wrap_socket(plain, server_hostname="localhost")
    link.sendall(f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic(user, password)}\r\n\r\n".encode())
    return link


def status(link: ssl.SSLSocket) -> int:
    """The answer to what is under way."""
    with link:
        return int(link.recv(65536).split(b" ")[1])


def checked(instance: Instance) -> int:
    """How many wrong passwords were checked so far: each is told."""
    return sum("password mismatch" in line for line in instance.said)


@contextmanager
def flood(instance: Instance) -> Iterator[list[ssl.SSLSocket]]:
    """Wrong passwords of several clients, all of them waiting."""
    before = checked(instance)
    with ExitStack() as stack:
        links = []
        for number in range(CLIENTS * EACH):
            address, user = f"127.0.7.{number % CLIENTS + 1}", ("docker", "carol", "no-such-user")[number % 3]
            links.append(stack.enter_context(ask(instance, address, user, f"wrong {number}")))
        instance.wait_for("the first checks", lambda: checked(instance) > before)
        yield links


@pytest.mark.promise("fair-turns")
def test_a_first_login_waits_for_one_password_of_each_client(serving: Instance) -> None:
    add_user(serving, "alice", "right")
    with flood(serving):
        before = checked(serving)
        assert before < CLIENTS * EACH / 2, "most still wait"
        assert status(ask(serving, "127.0.8.1", "alice", "right")) == 200
        assert checked(serving) - before <= CLIENTS + 2 * WIDTH


@pytest.mark.promise("fair-turns")
def test_who_was_right_lately_stands_before_strangers(serving: Instance) -> None:
    """Of whom the front remembers nothing: users changed since."""
    add_user(serving, "alice", "right")
    assert status(ask(serving, "127.0.8.2", "alice", "right")) == 200
    add_user(serving, "bob", "another")
    with flood(serving):
        before = checked(serving)
        assert status(ask(serving, "127.0.8.2", "alice", "right")) == 200
        assert checked(serving) - before <= 2 * WIDTH


@pytest.mark.promise("gone-is-not-checked")
def test_who_has_gone_is_not_checked(serving: Instance) -> None:
    users = [f"alice-{number}" for number in range(1, CLIENTS + 1)]
    for user in users:
        add_user(serving, user, "right")
    before = checked(serving)
    with flood(serving) as links:
        pass
    assert len(links) == CLIENTS * EACH
    for number, user in enumerate(users, 1):  # each behind all that its own client has asked
        assert status(ask(serving, f"127.0.7.{number}", user, "right")) == 200
    assert checked(serving) - before < CLIENTS * EACH / 2


@pytest.mark.promise("names-take-the-same-time")
def test_a_name_that_nobody_has_takes_as_long(serving: Instance) -> None:
    add_user(serving, "alice", "right")

    def costs(names: list[str]) -> int:
        before = checking_time(serving)
        assert {status(ask(serving, f"127.0.9.{at}", name, "wrong")) for at, name in enumerate(names, 1)} == {401}
        return checking_time(serving) - before

    there = costs(["alice", "docker"] * 5)
    away = costs([f"nobody-{number}" for number in range(10)])
    assert 0.5 < away / there < 2


@pytest.mark.parametrize("name", ["secure-registry-nobody-0", "SECURE-REGISTRY-NOBODY-0", "secure-registry-nobody-"])
def test_nobody_is_a_decoy(serving: Instance, name: str) -> None:
    assert serving.ask("/v2/", user=name).status == 401
    done = serving.run("htpasswd", "-i", name, input="password\n")
    assert done.returncode == 2 and "secure-registry itself" in done.stderr


def test_without_the_queue_passwords_are_checked(serving: Instance) -> None:
    add_user(serving, "alice", "right")
    path = serving.root / "run/secure-registry/queue.sock"
    away = path.with_name("away.sock")
    path.rename(away)
    try:
        answers: list[Answer] = [serving.ask("/v2/", user="alice", password=word) for word in ("right", "wrong")]
        check = serving.run("status", "--check")
    finally:
        away.rename(path)
    assert [answer.status for answer in answers] == [200, 401]
    assert f"past the queue (nobody listens at {path})" in check.stdout


@pytest.mark.promise("costly-hashes")
def test_a_hash_that_nobody_waits_for_holds_up_nobody(serving: Instance) -> None:
    """Seen: minutes of a processor for each question, of names that nobody has, too: it could be their decoy."""
    path = serving.etc / ".htpasswd"
    eve = f"eve:$6$rounds=999999999$salt${'x' * 86}\n"
    with path.open("a") as file:
        file.write(eve)
    said = serving.reload()
    assert f"{path}:{path.read_text().splitlines().index(eve.strip()) + 1}" in said and "longer than a client" in said
    before = checking_time(serving)
    for name in ("eve", "no-such-user"):
        assert serving.ask("/v2/", user=name, password="x").status == 401
    assert serving.ask("/v2/", user="docker").status == 200
    assert checking_time(serving) - before < 100 * 5, "ticks, of 10 ms"
