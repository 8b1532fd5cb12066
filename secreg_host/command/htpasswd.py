"""The htpasswd command: the options of Apache's htpasswd(1), on this registry's users."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from secreg_host.base import files, quoting, reading, shorter, utf8
from secreg_host.base.errors import Exit, SecregError, bad_input
from secreg_host.base.reserve import Reserve
from secreg_host.formats import hashoptions, robots, userlines, users
from secreg_host.formats.hashoptions import HashChoice

DESCRIPTION = """\
Add a user or change a password, with the options of Apache's htpasswd. Without FILE it is the registry's own
.htpasswd, and the change serves at once. Without -b and -i the password is asked for twice on a terminal, and read
from standard input elsewhere.
"""


@dataclass(frozen=True)
class Request:
    """What is asked for: the file (None: print only), the user, and the password if it was given in the call."""

    file: Path | None
    user: str
    password: str | None


@dataclass(frozen=True)
class Place:
    """Where a file is changed: the directory whose lock is held meanwhile, and room that can be given up for it."""

    lock: Path
    reserve: Reserve | None = None


def build_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of htpasswd to `parser`."""
    parser.description = DESCRIPTION
    parser.usage = (
        "secure-registry htpasswd [-cinDv] [-5|-2|-B|-m|-s|-d] [-C COST] [-r ROUNDS] [FILE] USER\n"
        "       secure-registry htpasswd -b [-cnDv] [...] [FILE] USER PASSWORD"
    )
    parser.add_argument("words", nargs="*", metavar="[FILE] USER [PASSWORD]", help=argparse.SUPPRESS)
    parser.add_argument("-c", dest="create", action="store_true", help="begin a new file; one that exists is lost")
    parser.add_argument("-n", dest="show", action="store_true", help="print the line, change no file")
    parser.add_argument(
        "-b",
        dest="batch",
        action="store_true",
        help="password on the command line, where everybody on this host can see it",
    )
    parser.add_argument("-i", dest="stdin", action="store_true", help="password from standard input, without asking")
    parser.add_argument("-D", dest="delete", action="store_true", help="remove the user")
    parser.add_argument("-v", dest="verify", action="store_true", help="check the password, change nothing")
    hashoptions.add(parser)


def request_of(args: argparse.Namespace, default_file: Path, username: str, password: str) -> Request:
    """FILE, USER and PASSWORD from the words of the call: their number tells which is which.

    Without words the user is `username` and the password `password` (settings), as in the original.
    """
    words = list(args.words)
    if not words and username:
        return Request(None if args.show else default_file, username, password or None)
    needed = 2 if args.batch else 1
    given = words.pop() if args.batch and len(words) >= needed else None
    if len(words) == 1 and (given is not None) == bool(args.batch):
        return Request(None if args.show else default_file, words[0], given)
    if len(words) == 2 and (given is not None) == bool(args.batch):
        if args.show:
            raise bad_input("-n", "it prints the line, so no FILE is needed", "leave FILE out")
        return Request(Path(words[0]), words[1], given)
    said = "PASSWORD goes with -b" if len(args.words) > 2 or args.batch else "USER is missing"
    raise bad_input("htpasswd", said, "secure-registry htpasswd [FILE] USER; see: secure-registry htpasswd --help")


def ask(stdin: TextIO, prompt: Callable[[str], str] = getpass.getpass, *, twice: bool) -> str:
    """A password from the terminal, asked for once or twice; elsewhere the first line of standard input.

    Raises BadInput when the two differ, or it is no text, SecregError when the terminal closes."""
    try:
        return _asked(stdin, prompt, twice=twice)
    except EOFError:
        raise SecregError("no password was typed, so nothing was changed", "type one; or pipe it in: -i") from None
    except UnicodeError:
        hint = "type it where letters are UTF-8 (locale charmap); nothing was changed"
        raise bad_input("password", users.NO_TEXT, hint) from None


def _asked(stdin: TextIO, prompt: Callable[[str], str], *, twice: bool) -> str:
    if not stdin.isatty():
        return stdin.readline(users.PASSLIB_LIMIT + 1).rstrip("\r\n")
    password = prompt("New password: " if twice else "Enter password: ")
    if twice and prompt("Re-type new password: ") != password:
        raise bad_input("password", "the two passwords differ", "nothing was changed; try again")
    return password


def run(
    args: argparse.Namespace,
    request: Request,
    default: Callable[[], HashChoice],
    stdin: TextIO,
    stdout: TextIO,
    own: Place | None = None,
) -> Exit:
    """Do what the call asks for; returns the exit code. Raises BadInput and SecregError; a file is then unchanged.

    default: how to hash where no option says it, asked for only then; own: of the registry's own file, which is changed
    even where nobody else can write.
    """
    place = own or Place(request.file.resolve().parent if request.file is not None else Path())
    removes_ours = args.delete and users.is_ours(request.user)  # from a file in which it may stand, for no use
    wrong = "" if removes_ours else users.name_problem(request.user)
    if not wrong and not (args.delete or args.verify) and request.user != request.user.strip():
        wrong = "a new user's name has no blanks around it"
    if wrong:
        raise bad_input("USER", wrong, "choose another name, such as one of letters, digits, . _ -")
    if not (args.delete or args.verify):
        _no_robot(request, ours=own is not None)
    if request.file is not None and not args.create and not args.delete and not args.verify:
        _require(request.file)
    if args.delete:
        return _delete(request, place, stdout)
    twice = not args.verify and not args.stdin
    password = request.password if request.password is not None else ask(stdin, twice=twice)
    if args.verify:
        return _verify(request, password, stdout)
    chosen = hashoptions.choice_of(args) if hashoptions.chosen(args) else default()
    line = f"{request.user}:{users.make_hash(password, chosen.scheme, chosen.cost)}"
    if request.file is None:
        print(line, file=stdout)
        return Exit.DONE
    with files.exclusively(place.lock):
        before = b"" if args.create else _content(request.file)
        known = userlines.has_line(before, request.user)
        files.rewrite(request.file, userlines.with_line(before, request.user, line.encode()))
    print(f"{'Updating' if known else 'Adding'} password for user {request.user}", file=stdout)
    return Exit.DONE


def _who(file: Path) -> str:
    return f"see who is: cut -d: -f1 {quoting.shell(file)}"


def _content(path: Path) -> bytes:
    """What the file holds. Raises BadInput for UTF-16, in which no line of ours would be one."""
    data = reading.read(path, reading.HTPASSWD) or b""
    if utf8.is_utf16(data):
        raise bad_input(str(path), utf8.UTF_16, f"{utf8.HINT}; or begin a new one: -c")
    return data


def _no_robot(request: Request, *, ours: bool) -> None:
    """Raise BadInput for a new user who is called as robots are, but in a file that is not `ours`."""
    known = request.file is not None and userlines.has_line(reading.peek(request.file, reading.HTPASSWD), request.user)
    if robots.is_reserved(request.user) and (ours or request.file is None) and not known:
        what = f"names that begin with {robots.PREFIX} are those of robots"
        name = quoting.shell(request.user[len(robots.PREFIX) :] or "NAME")
        raise bad_input("USER", what, f"choose another name; or make a robot: secure-registry token create {name}")


def _require(path: Path) -> None:
    if reading.read(path, reading.HTPASSWD) is None:
        raise SecregError(f"{path} does not exist", "begin it with -c")


def _delete(request: Request, place: Place, stdout: TextIO) -> Exit:
    if request.file is None:
        raise bad_input("-D", "it does not go with -n", "leave -n out")
    with files.exclusively(place.lock):
        data = _content(request.file)
        after = userlines.with_line(data, request.user, None)
        if after == data:
            raise SecregError(f"user {request.user} is not in {request.file}", _who(request.file))
        shorter.save(request.file, after, userlines.blanked(data, request.user), place.reserve)
    print(f"Deleting password for user {request.user}", file=stdout)
    return Exit.DONE


def _verify(request: Request, password: str, stdout: TextIO) -> Exit:
    if request.file is None:
        raise bad_input("-v", "it does not go with -n", "leave -n out")
    found, _ = users.parse(_content(request.file), str(request.file))
    user = next((user for user in found if user.name == request.user), None)
    if user is None:
        raise SecregError(f"user {request.user} is not in {request.file}", _who(request.file))
    if not users.verify(password, user.hash):
        raise SecregError(
            "password verification failed", "type it again; or give another one: secure-registry htpasswd USER"
        )
    print(f"Password for user {request.user} correct.", file=stdout)
    return Exit.DONE
