"""The process that is ready for an apply: when it is out of date; what whoever asks is told when it can't be asked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from secreg_host.command import cli, ready
from secreg_host.host import activity
from secreg_host.watchdog import ask


def test_what_was_loaded_and_replaced_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "module.py"
    module.write_text("")
    loaded = {module: ready.mark(module)}
    monkeypatch.setattr(ready, "_mapped", lambda: ["7f00-7f01 r-xp 0 00:01 7  /usr/lib/libssl.so.3"])
    assert not ready.outdated(loaded)
    monkeypatch.setattr(ready, "_mapped", lambda: ["7f00-7f01 r-xp 0 00:01 7  /usr/lib/libssl.so.3 (deleted)"])
    assert ready.outdated(loaded)
    monkeypatch.setattr(ready, "_mapped", list)
    before = module.stat()
    (tmp_path / "new.py").write_text("")  # of a package whose files have the date of the one before
    os.utime(tmp_path / "new.py", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new.py").rename(module)
    assert ready.outdated(loaded)
    module.unlink()
    assert ready.outdated(loaded)


def test_what_is_replaced_while_it_is_loaded_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mark is of what came after what was loaded. A clock that was set back is no reason to begin anew for ever."""
    module = tmp_path / "module.py"
    module.write_text("")
    changed = module.stat().st_ctime
    monkeypatch.setattr(ready, "_mapped", list)
    assert not ready.outdated({module: ready.mark(module, changed + 1)})
    assert ready.outdated({module: ready.mark(module, changed - 1)})
    monkeypatch.setattr("time.time", lambda: changed - 5)
    assert not ready.outdated({module: ready.mark(module, changed - 6)})


def test_when_a_process_began() -> None:
    before = time.time()
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            assert before - 1 < activity.begun(process.pid) < time.time() + 1
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("word", "argv"),
    [
        (ask.ASKED, ["apply"]),
        (ask.DEBUGGED, ["apply", "--debug"]),
        (ask.RENEWED, ["apply", "--renew"]),
        (b"?", ["apply"]),
    ],
)
def test_an_apply_speaks_to_whoever_asked_and_ends_as_it_ends(
    word: bytes, argv: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def apply(argv: list[str]) -> int:
        print(f"this is {argv}")
        return 3

    monkeypatch.setattr(cli, "main", apply)
    monkeypatch.setattr(sys, "stdout", open(1, "w", closefd=False))  # noqa: SIM115
    reading, writing = os.pipe()
    asking, asked = socket.socketpair()
    with asking, asked, socket.socket(socket.AF_UNIX) as listener:
        socket.send_fds(asking, [word], [writing, writing])
        os.close(writing)
        ready._serve(listener, asked)
        assert asking.recv(1) + asking.recv(1) == ask.BEGUN + b"\3"
    with os.fdopen(reading) as said:
        assert said.read() == f"this is {argv}\n"
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("stopped", [False, True])
def test_an_apply_that_nobody_waits_for_is_ended(monkeypatch: pytest.MonkeyPatch, stopped: bool) -> None:
    """As systemd ends who asks, to begin anew: a slow one must not hold up a removed user; nor one that was stopped."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            """Forks that other tests left (distant)."""
    monkeypatch.setattr(cli, "main", lambda _: os.kill(os.getpid(), signal.SIGSTOP) if stopped else time.sleep(600))
    asking, asked = socket.socketpair()
    with asked, socket.socket(socket.AF_UNIX) as listener:
        socket.send_fds(asking, [b"\0"], [2, 2])
        hangs_up = threading.Thread(target=lambda: (asking.recv(1), asking.shutdown(socket.SHUT_RDWR)))
        hangs_up.start()
        ready._serve(listener, asked)  # comes back
        hangs_up.join()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_who_asked_is_told_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ask, "SOCKET", str(tmp_path / "apply.sock"))
    assert ask.main() == ask.UNHEARD
    said = capfd.readouterr().err
    assert "No such file" in said and "restart secure-registry-apply.socket" in said
    with socket.create_server(ask.SOCKET, family=socket.AF_UNIX) as listener:

        def hang_up() -> None:
            link, _ = listener.accept()
            with link:
                link.recv(1)

        hangs_up = threading.Thread(target=hang_up)
        hangs_up.start()
        assert ask.main() == ask.UNHEARD
        hangs_up.join()
        assert "did not begin" in capfd.readouterr().err
        assert ask.main() == ask.UNHEARD  # it is stopped: the kernel takes the connection, nobody answers
    assert "does not answer" in capfd.readouterr().err


@pytest.mark.parametrize(("value", "word"), [(b"1", ask.DEBUGGED), (b"0", ask.ASKED)])
def test_an_apply_is_debugged_for_whoever_wants_it(
    value: bytes, word: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What systemd has in its environment when an apply is asked for counts, not what it had when this began."""
    monkeypatch.setattr(ask, "SOCKET", str(tmp_path / "apply.sock"))
    monkeypatch.setitem(ask.environ, b"SECREG_DEBUG", value)
    heard = []
    with socket.create_server(ask.SOCKET, family=socket.AF_UNIX) as listener:

        def answer() -> None:
            link, _ = listener.accept()
            with link:
                heard.append(link.recv(1))
                link.sendall(ask.BEGUN + b"\3")

        answers = threading.Thread(target=answer)
        answers.start()
        assert ask.main() == 3
        answers.join()
    assert heard == [word]
