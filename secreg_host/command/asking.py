"""Asking somebody at a terminal."""

from __future__ import annotations

import getpass
import sys

from secreg_host.base.errors import SecregError, bad_input

LINE, LONGEST = 4096, 1024


def interactive() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def agreed(question: str) -> bool:
    """Whether somebody at a terminal says yes to `question`; elsewhere nobody is there to ask. A terminal that closes
    says no. The question is on standard error where the answers of the command go elsewhere (`| tee`). Raises BadInput
    where somebody is there, and sees neither."""
    if not sys.stdin.isatty():
        return True
    shown = next((one for one in (sys.stdout, sys.stderr) if one.isatty()), None)
    if shown is None:
        raise bad_input("terminal", "nobody would see what is asked: the output goes elsewhere", "add --yes")
    try:
        print(f"{question} [y/N] ", end="", file=shown, flush=True)
        answer = input()
    except (EOFError, UnicodeError):
        print(file=shown)
        return False
    return answer.strip().lower() in ("y", "yes")


def typed_again(word: str, said: str) -> bool:
    """Whether somebody at a terminal types `word` when he is told what was `said`. Raises BadInput where nobody is
    there, or sees it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise bad_input(word, "is to be typed again at a terminal, and there is none", "if it is meant, add --yes")
    try:
        return input(f"{said} Type its name again: ").strip() == word
    except (EOFError, UnicodeError):
        print()
        return False


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
    if len(found) > LONGEST or not found.isprintable():
        what = f"it has more than {LONGEST} characters, or some that nobody can type"
        raise bad_input("passphrase", what, "take a line of text: of a file of bytes, only some would count")
    return found
