"""The htpasswd command: Apache's options, other lines untouched, nothing lost."""

from __future__ import annotations

import argparse
import errno
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from secreg_host.base.errors import BadInput, Exit, SecregError
from secreg_host.command import htpasswd
from secreg_host.formats import hashoptions, users
from secreg_host.formats.hashoptions import HashChoice
from secreg_host.formats.users import Scheme


def call(*argv: str, default: Path = Path("/default"), stdin: str = "") -> tuple[Exit, str]:
    parser = argparse.ArgumentParser()
    htpasswd.build_parser(parser)
    args = parser.parse_args(argv)
    request = htpasswd.request_of(args, default, "", "")
    out = io.StringIO()
    return htpasswd.run(args, request, lambda: HashChoice(Scheme.SHA512, 1000), io.StringIO(stdin), out), out.getvalue()


@pytest.mark.parametrize(
    "argv", [("-b", "bob", "p\udce4ss"), ("-b", "b\udcf6b", "pass"), ("-i", "bob"), ("-D", "b\udcf6b")]
)
def test_bytes_that_are_no_text_are_told(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """Of arguments and of standard input (PEP 383), as from a terminal of Latin-1."""
    file = tmp_path / "file"
    assert call("-c", "-b", str(file), "bob", "pass")[0] == Exit.DONE
    before = file.read_bytes()
    with pytest.raises(BadInput, match="not UTF-8 text"):
        call(*argv, default=file, stdin="p\udce4ss\n")
    assert file.read_bytes() == before
    with pytest.raises(SecregError, match="verification failed"):
        call("-b", "-v", str(file), "bob", "p\udce4ss")


@pytest.mark.parametrize("argv", [("-b", "bob", "secret"), ("-D", "alice"), ("-vb", "alice", "secret")])
def test_utf_16_is_told_and_left_as_it_is(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """A line of ours would be none in it."""
    path = tmp_path / "users"
    data = f"alice:{users.make_hash('secret', Scheme.SHA)}\r\n".encode("utf-16")
    path.write_bytes(data)
    with pytest.raises(BadInput, match="UTF-16"):
        call(*argv, default=path)
    assert path.read_bytes() == data
    call("-cb", "bob", "secret", default=path)
    assert path.read_bytes().startswith(b"bob:")


def test_standard_input_that_is_no_text_is_told(tmp_path: Path) -> None:
    """Where Python decodes it strictly."""
    (tmp_path / "in").write_bytes(b"p\xe4ss\n")
    with (tmp_path / "in").open(encoding="utf-8") as stdin, pytest.raises(BadInput, match="not UTF-8 text"):
        htpasswd.ask(stdin, twice=False)


def test_a_linked_file_is_edited_where_it_is(tmp_path: Path) -> None:
    """As by Apache's tool: other programs may read it, too."""
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.write_bytes(b"bob:x\n")
    shared.chmod(0o600)
    link.symlink_to(shared)
    assert call("-b", str(link), "alice", "pw")[0] == Exit.DONE
    assert call("-D", str(link), "bob")[0] == Exit.DONE
    assert link.is_symlink() and shared.read_bytes().startswith(b"alice:$6$") and b"bob" not in shared.read_bytes()
    assert shared.stat().st_mode & 0o777 == 0o600


def test_a_file_whose_place_can_not_be_taken_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is mounted by itself: rename(2) fails with EBUSY. Who is removed is out all the same."""

    def busy(self: Path, target: Path) -> Path:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(target))

    mounted = tmp_path / "mounted"
    mounted.write_bytes(b"alice:x\nbob:x\n")
    monkeypatch.setattr(Path, "replace", busy)
    assert call("-D", str(mounted), "bob")[0] == Exit.DONE
    assert mounted.read_bytes() == b"alice:x\n" and [*tmp_path.iterdir()] == [mounted]
    with pytest.raises(SecregError, match=r"busy") as raised:
        call("-b", str(mounted), "carol", "pw")
    assert "findmnt" in raised.value.problems[0].hint and mounted.read_bytes() == b"alice:x\n"


@pytest.mark.promise("apaches-options", "new-hashes")
@pytest.mark.parametrize(
    ("argv", "prefix"),
    [
        (["-nb", "alice", "pw"], "$6$rounds=1000$"),
        (["-nbB", "-C", "5", "alice", "pw"], "$2b$05$"),
        (["-bnm", "alice", "pw"], "$apr1$"),
        (["-nb", "-2", "-r", "2000", "alice", "pw"], "$5$rounds=2000$"),
        (["-nbs", "alice", "pw"], "{SHA}"),
        (["-nbd", "alice", "pw"], ""),
    ],
)
def test_apaches_flags(argv: list[str], prefix: str) -> None:
    code, said = call(*argv)
    name, _, value = said.strip().partition(":")
    assert (code, name) == (Exit.DONE, "alice") and value.startswith(prefix) and users.verify("pw", value)


@pytest.mark.promise("apaches-options")
def test_a_file_is_begun_changed_checked_and_emptied(tmp_path: Path) -> None:
    path = tmp_path / "users"
    with pytest.raises(SecregError, match="does not exist"):
        call("-i", "alice", default=path, stdin="one")
    assert call("-ci", "alice", default=path, stdin="one\n")[1] == "Adding password for user alice\n"
    assert path.stat().st_mode & 0o777 == 0o640
    path.write_bytes(b"# kept\r\n" + path.read_bytes() + b"odd line\n")
    path.chmod(0o600)
    assert call("-i", str(path), "bob", stdin="two")[1] == "Adding password for user bob\n"
    assert call("-b", str(path), "alice", "three")[1] == "Updating password for user alice\n"
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_bytes().split(b"\n")
    assert lines[0] == b"# kept\r" and lines[2] == b"odd line" and lines[3].startswith(b"bob:")
    assert call("-vb", str(path), "alice", "three")[0] == Exit.DONE
    with pytest.raises(SecregError, match="verification failed"):
        call("-vb", str(path), "alice", "one")
    assert call("-D", str(path), "alice")[0] == Exit.DONE
    assert b"alice" not in path.read_bytes()
    with pytest.raises(SecregError, match="not in"):
        call("-D", str(path), "alice")


@pytest.mark.parametrize(
    "argv",
    [[], ["a", "b", "c"], ["-b", "alice"], ["-nb", "file", "alice", "pw"], ["-np", "alice"],
     ["-nB", "-C", "99", "alice"],
     ["-n5", "-C", "5", "alice"], ["-nB", "-r", "5000", "alice"],
     ["-n5", "-r", "5", "alice"], ["-ni", "a:b"]],
)  # fmt: skip
def test_bad_calls(argv: list[str]) -> None:
    with pytest.raises(BadInput):
        call(*argv, stdin="pw")


@pytest.mark.parametrize("name", ["bob ", " bob", f"{users.PROBE} "])
def test_a_name_that_looks_like_another_one_is_not_made(tmp_path: Path, name: str) -> None:
    """As USERNAME; one that is there already is checked and removed."""
    file = tmp_path / "file"
    file.write_text(f"alice:x\n{name}:{users.make_hash('pass', Scheme.SHA)}\n")
    for argv in (("-b", str(file), name, "pass"), ("-nb", name, "pass")):
        with pytest.raises(BadInput, match="no blanks around it"):
            call(*argv)
    assert call("-vb", str(file), name, "pass")[0] == call("-D", str(file), name)[0] == Exit.DONE
    assert file.read_text() == "alice:x\n"


def test_a_terminal_that_closes_changes_nothing() -> None:
    """Seen: a traceback."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def prompt(_: str) -> str:
        raise EOFError

    with pytest.raises(SecregError, match="nothing was changed") as caught:
        htpasswd.ask(Terminal(), prompt, twice=True)
    assert caught.value.code == Exit.FAILED


def test_a_terminal_is_asked_twice() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter(["one", "two"])
    with pytest.raises(BadInput, match="differ"):
        htpasswd.ask(Terminal(), lambda _: next(answers), twice=True)
    assert htpasswd.ask(Terminal(), lambda _: "same", twice=True) == "same"


@pytest.mark.promise("new-hashes")
@pytest.mark.parametrize(
    ("opt", "choice"),
    [("", HashChoice()), ("-B -C 12", HashChoice(Scheme.BCRYPT, 12)), ("-5", HashChoice()), ("-bc", HashChoice())],
)
def test_opt(opt: str, choice: HashChoice) -> None:
    assert hashoptions.split_options(opt) == choice


def test_no_hash_is_made_that_nobody_can_get_in_by() -> None:
    assert hashoptions.split_options("-5 -r 150000000").cost == 150_000_000
    with pytest.raises(BadInput, match="not from 1000 to 150000000"):
        hashoptions.split_options("-5 -r 150000001")


def test_runs_at_the_same_time_lose_no_user_and_bring_none_back(tmp_path: Path) -> None:
    """Between reading and writing, another run waits: alice, once removed, is not written again by those who add."""
    path = tmp_path / ".htpasswd"
    path.write_bytes(b"alice:{SHA}" + b"A" * 27 + b"=\n")
    names = [f"user{number}" for number in range(24)]

    calls: list[tuple[str, ...]] = [("-bs", str(path), name, "pw") for name in names]
    calls.insert(len(calls) // 2, ("-D", str(path), "alice"))
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(call, *argv) for argv in calls]:
            done.result()
    found, problems = users.parse(path.read_bytes(), "")
    assert (sorted(user.name for user in found), problems) == (sorted(names), ())


def test_our_own_probe_is_no_user(tmp_path: Path) -> None:
    """One that stands in the file is removed as any other."""
    file = tmp_path / "file"
    file.write_bytes(b"bob:x\n" + f"{users.PROBE}:{users.fast_hash('x')}\n".encode())
    with pytest.raises(BadInput, match="secure-registry itself"):
        call("-i", users.PROBE, default=file, stdin="pass\n")
    assert call("-D", users.PROBE, default=file)[0] == Exit.DONE
    assert file.read_bytes() == b"bob:x\n"


@pytest.mark.parametrize("password", ["x" * 512, "x" * 5000, "x" * 100_000, "x\0y"], ids=len)
def test_a_password_that_nobody_could_log_in_with_is_told(tmp_path: Path, password: str) -> None:
    """Seen: it was a bug (PasswordSizeError)."""
    file = tmp_path / "file"
    call("-c", "-b", "-s", str(file), "bob", "pass")
    before = file.read_bytes()
    for argv, stdin in ((("-b", str(file), "bob", password), ""), (("-i", str(file), "bob"), f"{password}\n")):
        with pytest.raises(BadInput, match=r"^password: it (is longer|has control)"):
            call(*argv, stdin=stdin)
    for scheme in ("-s", "-5", "-B", "-m"):
        call("-c", "-b", scheme, str(tmp_path / scheme), "bob", "pass")
        with pytest.raises(SecregError, match="verification failed"):
            call("-v", "-i", str(tmp_path / scheme), "bob", stdin=f"{password}\n")
    assert file.read_bytes() == before
