"""What people are shown, without what looks like a secret: texts with URLs in them, and what a program was run with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MASK = "xxxxx"
"""In the place of a secret, as Go's url.Redacted has it."""

SECRET = r"pass(?:word|wd|phrase)?|secret|token|credentials?"
WORD = re.compile(r"\S+")
USER = re.compile(r"(?:\w:/+|//)(?=[^/@:]*:|[^/@:]+(?:@|\Z))")
"""What stands before the user information of a URL (RFC 3986, 3.2.1), in a word up to its last `@`; one that was taken
for a path keeps a single slash."""

PARAMETER = re.compile(rf"([?&][\w.-]{{,40}}(?:{SECRET}|key|sig)[\w.-]{{,40}}=)[^\s&]+", re.IGNORECASE)
"""One of a URL's query that may be a secret."""

RULES = (
    (re.compile(r"(--setenv=\w+)=.*", re.DOTALL), r"\1"),  # systemd-run(1): the name alone
    (re.compile(rf"(\w*(?:{SECRET})\w*\s*[=:]\s*).+", re.DOTALL | re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"\$(?:1|2[abxy]|5|6|apr1|y)\$\S+"), MASK),  # crypt(5), and Apache's
)
OPTION = re.compile(rf"--?[\w-]*(?:{SECRET})", re.IGNORECASE)
"""An option whose value is the next word."""


def urls(text: str) -> str:
    """`text`, which may quote a path or a value of the administrator's, with what is secret of a URL in it masked: user
    information, and parameters that are called like secrets. It takes no longer than in proportion to its length."""
    known = WORD.sub(_without_user, text) if "@" in text else text
    return PARAMETER.sub(rf"\g<1>{MASK}", known) if "=" in known else known


def _without_user(word: re.Match[str]) -> str:
    before, at, after = word[0].rpartition("@")
    begin = USER.search(before)
    return f"{before[: begin.end()]}{MASK}{at}{after}" if begin else word[0]


def shown(argv: Sequence[str]) -> str:
    """`argv` as a line for a shell, with what looks like a secret masked."""
    return shlex.join(
        MASK if number and OPTION.fullmatch(argv[number - 1]) else _masked(word) for number, word in enumerate(argv)
    )


def _masked(word: str) -> str:
    word = urls(word)
    for pattern, instead in RULES:
        word = pattern.sub(instead, word)
    return word
