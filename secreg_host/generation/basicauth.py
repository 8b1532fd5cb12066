"""What a regular expression can tell of an Authorization header before anybody decoded it: that it has no password.

A hash may be one of the empty password. To find those would take a check of each at every change; so nobody gets in
without a password, whatever the hash. nginx has no variable with the password, and the header is base64 (RFC 4648).
Three bytes are four characters of six bits; so for each place of a byte there are only a few characters in which it can
show. Source: nginx, ngx_http_auth_basic_user and ngx_decode_base64: what follows a `=` is nothing, bits too many are
nothing, and crypt(3) takes a password that begins with NUL for an empty one.
"""

from __future__ import annotations

from secreg_host.base.quoting import Quoted

_ANY = "[A-Za-z0-9+/]"
_FIRST = "O[g-v]"
"""The first of three bytes is `:` (00111010)."""

_SECOND = f"{_ANY}[DTjz][o-r]"
_THIRD = f"{_ANY}{_ANY}[AEIMQUYcgkosw048]6"
_END = "(?:=|$)"
_OTHER = f"(?!{_FIRST}|{_SECOND}|{_THIRD}){_ANY}{{4}}"
"""Three bytes without a `:`."""

NO_PASSWORD = Quoted(
    f"^(?i:basic) +(?:{_FIRST}|(?:{_OTHER})*(?:"
    f"O(?:[g-v]{_END}|g[A-D])"
    f"|(?!{_FIRST}){_ANY}[DTjz](?:[o-r]{_END}|oA)"
    f"|(?!{_FIRST}|{_SECOND}){_THIRD}(?:{_END}|A[A-P])))"
)
"""Matches a header whose first `:` is its first byte (no user), its last (no password), or followed by NUL. PCRE and
Python read it alike."""
