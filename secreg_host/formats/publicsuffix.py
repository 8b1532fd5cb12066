"""Public suffixes: domains below which anybody may register a name (co.uk, github.io).

Source: publicsuffix.org/list, as /usr/share/publicsuffix/public_suffix_list.dat has it.
"""

from __future__ import annotations

from secreg_host.base import utf8

REMARK, EXCEPT = "//", "!"
OF_COUNTRIES = ("ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "mil", "ne", "net", "nom", "or", "org", "sch")
"""What is a public suffix below most top level domains of countries, for hosts that have no list."""


def covers(domain: str, listed: bytes) -> bool:
    """Whether `domain` (ASCII, without a dot at its end) is a public suffix, or all that is right below it is one, by
    the list in `listed`; by a rule of thumb where that is empty."""
    first, _, above = domain.lower().partition(".")
    if not above:
        return True
    if not listed:
        return first in OF_COUNTRIES and len(above) == 2
    rules = _rules(listed)
    own = f"{first}.{above}"
    if EXCEPT + own in rules:
        return False
    return not rules.isdisjoint({own, f"*.{above}", f"*.{own}"})


def _rules(listed: bytes) -> set[str]:
    """Each rule, with names as they are sent to name servers (RFC 3490)."""
    lines = (line.split() for line in utf8.shown(listed).splitlines())
    return {_ascii(words[0]) for words in lines if words and not words[0].startswith(REMARK)}


def _ascii(rule: str) -> str:
    try:
        return rule if rule.isascii() else utf8.shown(rule.encode("idna"))
    except UnicodeError:  # a label that no name has
        return rule
