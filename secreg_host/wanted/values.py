"""What the values of settings may be. Each function takes a value as it was written, and raises Invalid."""

from __future__ import annotations

import re
from collections.abc import Callable

from secreg_host.base import names, reading
from secreg_host.base.errors import BadInput
from secreg_host.base.paths import PUBLIC_SUFFIXES
from secreg_host.formats import publicsuffix, users

FORBIDDEN = re.compile(r"""[\x00-\x1f\x7f"'`;{}$\\]""")
KEY_TYPES = ("P-256", "RSA-4096")
DOCKER_TRUST = ("insecure", "ca", "none")


class Invalid(Exception):
    """What is wrong with a value, never the value itself: two settings on one line make a password part of another."""


def text(value: str) -> str:
    """A text for a certificate or a template."""
    if found := FORBIDDEN.search(value):
        raise Invalid(f"the character {found[0]!r} can't be used here")
    if len(value.encode()) > 64:
        raise Invalid("longer than 64 bytes (RFC 5280, upper bounds)")
    return value


def host_names(value: str) -> tuple[str, ...]:
    """Host names and addresses, each once."""
    return tuple(dict.fromkeys(map(host_name, value.replace(",", " ").split())))


def host_name(word: str) -> str:
    """A host name, without a dot at its end, or an address, without brackets."""
    if (address := names.address(names.bare(word))) is not None:
        return str(address)
    if not names.is_host_name(word.removesuffix(".")):
        raise Invalid("not a host name (letters, digits, hyphens and dots)")
    return word.removesuffix(".")


def domains(value: str) -> tuple[str, ...]:
    """Domains of somebody's own, each once."""
    found = host_names(value)
    listed = reading.peek(PUBLIC_SUFFIXES, reading.OTHER) if found else b""
    for one in found:
        if names.is_address(one) or "." not in one:
            raise Invalid("a domain of two labels at least is needed, such as example.org")
        if publicsuffix.covers(one, listed):
            raise Invalid("below a public suffix (publicsuffix.org) are other people's names; write a domain of yours")
    return found


def addresses(value: str) -> tuple[str, ...]:
    """IP addresses, each once."""
    found = [names.address(word) for word in value.replace(",", " ").split()]
    if None in found:
        raise Invalid("not an IP address; names go into SERVER_NAME")
    return tuple(dict.fromkeys(map(str, found)))


def number(low: int, high: int) -> Callable[[str], int]:
    """What reads a whole number from `low` to `high`."""

    def parse(value: str) -> int:
        if not value.isascii() or not value.isdecimal() or len(value) > 9 or not low <= int(value) <= high:
            raise Invalid(f"not a whole number from {low} to {high}")
        return int(value)

    return parse


AGE = re.compile(r"([0-9]{1,6})([smhdwy])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 366 * 86400}


def age(value: str) -> int:
    """An age, in seconds."""
    if not (found := AGE.fullmatch(value)):
        raise Invalid("no age: write a number and s, m, h, d, w or y, such as 24h")
    return int(found[1]) * SECONDS[found[2]]


def age_said(value: str) -> str:
    """An age, as it is written."""
    age(value)
    return value


def country(value: str) -> str:
    """A country code."""
    if value and not re.fullmatch("[A-Za-z]{2}", value):
        raise Invalid("not a country code of two letters (ISO 3166)")
    return value.upper()


def username(value: str) -> str:
    """The name of a user."""
    if not value or ":" in value or FORBIDDEN.search(value) or value != value.strip() or len(value.encode()) > 255:
        raise Invalid("a user name has 1 to 255 bytes and no colon, quote, control character or surrounding blank")
    if users.is_ours(value):
        raise Invalid(users.name_problem(value))
    return value


def password(value: str) -> str:
    """A password."""
    if value and (wrong := users.password_problem(value)):
        raise Invalid(wrong)
    return value


def key_type(value: str) -> str:
    """A kind of key."""
    if value not in KEY_TYPES:
        raise Invalid(f"none of {', '.join(KEY_TYPES)}")
    return value


def docker_trust(value: str) -> str:
    """How Docker is to trust."""
    if value not in DOCKER_TRUST:
        raise Invalid(f"none of {', '.join(DOCKER_TRUST)}")
    return value


def yes_or_no(value: str) -> bool:
    """Whether something is to be."""
    if value not in ("yes", "no"):
        raise Invalid("not yes or no")
    return value == "yes"


def host(value: str) -> str:
    """One host name or address, or none."""
    if not value:
        return ""
    if len(found := host_names(value)) != 1:
        raise Invalid("one host name or address is needed")
    return found[0]


def program(value: str) -> str:
    """The path of a program, or none."""
    if value and (not value.startswith("/") or FORBIDDEN.search(value) or re.search(r"\s", value)):
        raise Invalid("an absolute path without blanks is needed")
    return value


def options(value: str) -> str:
    """Options of the htpasswd command that say how a password is hashed."""
    from secreg_host.formats import hashoptions  # late: passlib takes its time, and OPT is rarely set

    try:
        hashoptions.split_options(value)
    except BadInput as error:
        raise Invalid("; ".join(problem.what for problem in error.problems)) from None
    return value
