"""Asking somebody at a terminal."""

from __future__ import annotations

import sys


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
