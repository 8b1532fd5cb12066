"""Asking somebody at a terminal."""

from __future__ import annotations

import getpass
import sys

from secreg_host.base.errors import SecregError, bad_input

LINE = 4096


def agreed(question: str) -> bool:
    """Whether somebody at a terminal says yes to `question`; elsewhere nobody is there to ask. A terminal that closes
    says no."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        answer = input(f"{question} [y/N] ")
    except (EOFError, UnicodeError):
        print()
        return False
    return answer.strip().lower() in ("y", "yes")


def passphrase(*, twice: bool) -> str:
    """A passphrase from the terminal, asked for once or twice; elsewhere the first line of standard input. Raises
    BadInput where there is none, or the two differ, SecregError when the terminal closes."""
    if not sys.stdin.isatty():
        found = sys.stdin.readline(LINE).rstrip("\r\n")
    else:
        try:
            found = getpass.getpass("Passphrase: ")
            if twice and getpass.getpass("Re-type the passphrase: ") != found:
                raise bad_input("passphrase", "the two differ", "nothing was changed; try again")
        except EOFError:
            raise SecregError("no passphrase was typed", "type one; or pipe it in") from None
    if not found:
        raise bad_input("passphrase", "it is empty", "type one; or pipe it in: a line of standard input")
    return found
