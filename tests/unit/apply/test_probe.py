"""What the world sees, by what is answered. Real fronts: tests/real; who is kept out: test_clientproof.py."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

import pytest

from secreg_host.apply import asking, probe
from secreg_host.apply.probe import Expectation
from secreg_host.formats.listening import Listen
from secreg_host.formats.serverblocks import Door
from tests.unit.apply.test_clientproof import THEIRS, Front
from tests.unit.pki.test_clientrules import OTHER, Leaf
from tests.world import Clock

AT, TLS = Listen("", 443, tls=False), Listen("", 443)
WORKS: Mapping[str, int | bytes] = {"/x": 204, "/v2/": 401, "/v2/_catalog": 401}


def front(answers: Mapping[str, int | bytes], more: str = "") -> Front:
    known = {**WORKS, **answers}
    return Front(lambda what, _: known[what.removeprefix("GET ")], more)


@pytest.mark.parametrize(
    ("answers", "said", "kind"),
    [
        ({}, "", str),
        ({"/x": 404}, "the new configuration does not answer", str),
        ({"/x": 200}, "the new configuration does not answer", str),
        ({"/x": 401}, "the new configuration does not answer", probe.Refused),
        ({"/x": 403, "/v2/": 403}, "the new configuration does not answer", probe.Refused),
        ({"/v2/": 200}, "/v2/ is answered without a password (HTTP 200)", probe.Open),
        ({"/x": 403, "/v2/": 200}, "/v2/ is answered without a password (HTTP 200)", probe.Open),
        ({"/v2/": 206}, "/v2/ is answered without a password (HTTP 206)", probe.Open),
        ({"/v2/_catalog": 200}, "/v2/_catalog is answered without a password (HTTP 200)", probe.Open),
        ({"/v2/": 502}, "/v2/ without a password is answered by HTTP 502, not 401", str),
        ({"/v2/": 403}, "/v2/ without a password is answered by HTTP 403, not 401", probe.Refused),
        ({"/v2/_catalog": 404}, "", str),
        ({"/x": 0}, "the new configuration does not answer", probe.Refused),
    ],
)
def test_what_one_look_shows(answers: Mapping[str, int], said: str, kind: type) -> None:
    wrong = probe.once(Expectation(AT, "/x", None, "localhost"), front(answers).connect)
    assert (wrong, type(wrong)) == (said, kind)


def test_nobody_there() -> None:
    def refuse(_: Listen) -> socket.socket:
        raise ConnectionRefusedError("refused")

    assert probe.once(Expectation(AT, "/x", None, "localhost"), refuse) == "no answer: refused"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS, and the fingerprint of its certificate."""
    pair, place = Leaf(by=OTHER).pair(), tmp_path_factory.mktemp("pair")
    (place / "crt").write_bytes(pair.crt)
    (place / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "crt", place / "key")
    first = pair.crt.decode().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    return context, hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()


def over_tls(context: ssl.SSLContext, one: Front) -> Callable[[Listen], socket.socket]:
    def serve(link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.serve(context.wrap_socket(link, server_side=True))

    def connect(_: Listen) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(asking.TIMEOUT)
        threading.Thread(target=serve, args=(theirs,), daemon=True).start()
        return ours

    return connect


def test_only_the_certificate_of_the_generation_will_do(tls: tuple[ssl.SSLContext, str]) -> None:
    """Nothing else is asked of who shows another one."""
    context, fingerprint = tls
    for known, said in ((fingerprint, ""), (None, ""), ("0" * 64, probe.ANOTHER_CERTIFICATE)):
        one = front({})
        assert probe.once(Expectation(TLS, "/x", known, "localhost"), over_tls(context, one)) == said
        assert bool(one.asked) is not bool(said)


def test_who_speaks_no_tls_is_told_apart() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        wrong = probe.once(Expectation(TLS, "/x", "f", "localhost"), lambda _: ours)
    assert isinstance(wrong, probe.NoHandshake) and wrong.startswith("no TLS: ")


class Looks:
    """What the world answers, look after look, and the time that passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.answers, self.count, self.clock = answers, 0, Clock(monkeypatch)
        monkeypatch.setattr(probe, "once", lambda _: self.look())
        monkeypatch.setattr(probe, "find_open", lambda doors, _: "open" if doors else "")

    def look(self) -> str:
        self.count += 1
        return self.answers[min(self.count, len(self.answers)) - 1]


ONE = (Expectation(TLS, "/x", None, "localhost"),)


@pytest.mark.parametrize(
    ("answers", "looks"),
    [(("",), 3), (("old", ""), 4), (("", "", "old", ""), 6), (("", "old", "", "old", "", ""), 7)],
)
def test_so_many_answers_in_a_row_must_be_the_new_ones(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], looks: int
) -> None:
    """Old workers and new ones answer side by side for a moment."""
    world = Looks(monkeypatch, *answers)
    assert (probe.prove(ONE, (), 10.0, lambda: ""), world.count) == ("", looks)


def test_each_address_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Looks(monkeypatch, "", "", "", "no answer")
    other = Expectation(Listen("::1", 8443), "/x", None, "localhost")
    assert probe.prove((*ONE, other), (), 1.0, lambda: "") == "[::1]:8443: no answer"
    assert world.clock.now >= 1.0


def test_what_is_open_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: it was looked at again for 10 s before the way back."""
    world = Looks(monkeypatch, probe.Open("/v2/ is answered without a password"))
    assert "without a password" in probe.prove(ONE, (), 10.0, lambda: "") and (world.count, world.clock.now) == (1, 0.0)


def test_a_death_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    world = Looks(monkeypatch, "no answer")
    assert probe.prove(ONE, (), 10.0, lambda: "auth ended") == "auth ended" and world.count == 1


def test_it_is_looked_behind_all_doors_at_last(monkeypatch: pytest.MonkeyPatch) -> None:
    Looks(monkeypatch, "")
    assert probe.prove(ONE, (Door(TLS, "other.example"),), 10.0, lambda: "") == "open"


CATALOG = b'{"repositories": []}'


@pytest.mark.parametrize(
    ("answers", "more", "said"),
    [
        ({}, "", ""),
        ({"/v2/": 200}, "", ""),
        ({"/v2/": 200}, THEIRS, "127.0.0.1:443 (other.example): /v2/ is answered without a password (HTTP 200)"),
        ({"/v2/_catalog": CATALOG}, "", "127.0.0.1:443 (other.example): /v2/_catalog is answered without a password"),
        ({"/v2/_catalog": b"{}"}, "", ""),
        ({"/v2/_catalog": b"<html>"}, "", ""),
        ({"/v2/": 0, "/v2/_catalog": CATALOG}, "", "127.0.0.1:443 (other.example): /v2/_catalog is answered"),
    ],
)
def test_behind_which_door_the_registry_is_open(answers: Mapping[str, int | bytes], more: str, said: str) -> None:
    """Pages of the administrator's own are none of ours."""
    door = Door(AT, "other.example")
    wrong = probe.find_open([door], lambda _: front(answers, more).connect)
    assert wrong.startswith(said) and bool(wrong) is bool(said)


@pytest.mark.parametrize(
    ("status", "said"), [(200, ""), (401, ""), (503, "/v2/ is answered by HTTP 503"), (0, "no answer (")]
)
def test_a_registry_answers(status: int, said: str) -> None:
    wrong = probe.registry_wrong(lambda: front({"/v2/": status}).connect(AT))
    assert wrong.startswith(said) and bool(wrong) is bool(said)
