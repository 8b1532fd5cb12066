"""What a program was run with, as it may be shown. No secret belongs into arguments; what looks like one is masked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MASK = "xxxxx"
"""In the place of a secret, as Go's url.Redacted has it."""

SECRET = r"pass(?:word|wd|phrase)?|secret|token|credentials?"
RULES = (
    (re.compile(r"(--setenv=\w+)=.*", re.DOTALL), r"\1"),  # systemd-run(1): the name alone
    (re.compile(r"(\w://[^/\s:@]*):[^/\s]*@"), rf"\1:{MASK}@"),
    (re.compile(rf"(\w*(?:{SECRET})\w*\s*[=:]\s*).+", re.DOTALL | re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"\$(?:1|2[abxy]|5|6|apr1|y)\$\S+"), MASK),  # crypt(5), and Apache's
)
OPTION = re.compile(rf"--?[\w-]*(?:{SECRET})", re.IGNORECASE)
"""An option whose value is the next word."""


def shown(argv: Sequence[str]) -> str:
    """`argv` as a line for a shell, with what looks like a secret masked."""
    return shlex.join(
        MASK if number and OPTION.fullmatch(argv[number - 1]) else _masked(word) for number, word in enumerate(argv)
    )


def _masked(word: str) -> str:
    for pattern, instead in RULES:
        word = pattern.sub(instead, word)
    return word
