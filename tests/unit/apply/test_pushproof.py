"""Whether the manifest service answers, asked as the front asks it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from secreg_host.apply import pushproof
from secreg_host.host import processes
from secreg_host.host.host import Host


@pytest.fixture
def service(host: Host) -> Iterator[socket.socket]:
    """Where the front asks; nobody takes what is asked yet."""
    host.paths.run.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as found:
        found.bind(str(processes.manifests_socket(host)))
        found.listen(1)
        yield found


@pytest.mark.promise("manifest-service-away", "status-asks")
@pytest.mark.parametrize(
    ("status", "said"),
    [(204, ""), (404, "the manifest service answers by HTTP 404"), (0, "the manifest service does not answer: ")],
)
def test_what_it_answers(host: Host, service: socket.socket, status: int, said: str) -> None:
    asked: list[bytes] = []

    def serve() -> None:
        link, _ = service.accept()
        with link:
            asked.append(link.recv(4096))
            if status:
                link.sendall(f"HTTP/1.0 {status} x\r\nContent-Length: 0\r\n\r\n".encode())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    found = pushproof.wrong(host)
    thread.join(10)
    assert found.startswith(said) and bool(found) == bool(said)
    assert asked[0].startswith(b"GET /lives "), "nothing is written by a look"


def test_one_that_hangs(host: Host, service: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushproof, "SECONDS", 0.1)
    assert "within" in pushproof.wrong(host)


def test_without_its_socket_nobody_asks(host: Host, service: socket.socket) -> None:
    processes.manifests_socket(host).unlink()
    assert isinstance(pushproof.wrong(host), pushproof.Unheard)
