"""What nginx and the registry say when they fail, without what they quote: that may be a secret of their files.

Which file and line is wrong is told beside it.
"""

from __future__ import annotations

import re

from secreg_host.formats import registryconf

HIDDEN = "…"

SPOKEN = re.compile(r'"[a-z0-9_]+" directive|(?:\w\(\) ?|\(|certificate (?:key )?)"/[^"\s]*"|"/[^"\s]*" must be ')
"""What nginx quotes of itself rather than of a file: directives that it knows, paths that it tried to open."""

IN_QUOTES = re.compile(r"`[^`]*(?:`|$)|\"[^\"]*(?:\"|$)|'[^']*(?:'|$)")

SHORTEST = 3
"""Characters: shorter values are no secrets, and part of any word."""

CUT = 7
"""Characters of a value that yaml.v2 and v3 of Go show of a longer one, before `...` (decode.go, `terror`)."""


def nginx(said: str) -> str:
    """`said` with what it quotes from the first word on that is not nginx's own to the last quote left out."""
    at = 0
    while (quote := said.find('"', at)) >= 0:
        known = next((found for found in SPOKEN.finditer(said, at) if found.start() <= quote < found.end()), None)
        if known is None:
            rest = said[quote + 1 :].rpartition('"')[2] if '"' in said[quote + 1 :] else ""
            return f'{said[:quote]}"{HIDDEN}"{rest}'
        at = known.end()
    return said


def registry(said: str, yml: bytes) -> str:
    """`said` without what it quotes, and without the values of docker-registry.yml, whose bytes are `yml`."""
    values = {text for text in registryconf.values(yml) if len(text) >= SHORTEST}
    said = IN_QUOTES.sub(HIDDEN, said)
    for text in sorted(values, key=len, reverse=True):
        said = said.replace(text, HIDDEN).replace(f"{text[:CUT]}...", HIDDEN)
    return said
