"""What people are shown, without what looks like a secret: texts with URLs in them, and what a program was run with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MASK = "xxxxx"
"""In the place of a secret, as Go's url.Redacted has it."""

SECRET = r"pass(?:word|wd|phrase)?|secret|token|credentials?"
URLS = (
    re.compile(r"(\w:/+|//)(?:[^\s/@:]*:\S*|[^\s/@:]+)(?=@)"),
    re.compile(rf"([?&][\w.-]*(?:{SECRET}|key|sig)[\w.-]*=)[^\s&]+", re.IGNORECASE),
)
"""User information of a URL (RFC 3986, 3.2.1), of which one that was taken for a path keeps a single slash; parameters
of its query."""

RULES = (
    (re.compile(r"(--setenv=\w+)=.*", re.DOTALL), r"\1"),  # systemd-run(1): the name alone
    (re.compile(rf"(\w*(?:{SECRET})\w*\s*[=:]\s*).+", re.DOTALL | re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"\$(?:1|2[abxy]|5|6|apr1|y)\$\S+"), MASK),  # crypt(5), and Apache's
)
OPTION = re.compile(rf"--?[\w-]*(?:{SECRET})", re.IGNORECASE)
"""An option whose value is the next word."""


def urls(text: str) -> str:
    """`text`, which may quote a path or a value of the administrator's, with what is secret of a URL in it masked."""
    for pattern in URLS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


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
