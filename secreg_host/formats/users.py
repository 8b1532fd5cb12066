"""htpasswd files: who may log in. Reading judges every line; a bad one is dropped, never guessed at.

Source: htpasswd(1) of Apache, crypt(5), nginx's ngx_http_auth_basic_module. No message ever holds a hash or a password,
or anything of a line that can't be used, but a name before a hash: it may be one.
"""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from secreg_host.base import crypt, distro, quoting, utf8
from secreg_host.base.errors import BadInput, Problem, SecregError, bad_input
from secreg_host.formats import hashcost

ROUNDS = 200_000
"""Rounds of sha256-crypt and sha512-crypt: what a check costs here is printed by `make bench`."""

BCRYPT_COST = 10
BCRYPT_LIMIT = 72
"""bcrypt looks at no more bytes of a password than these."""

LIMIT = 511
"""Bytes of a password at the most: crypt(3), by which nginx checks it, takes no more (CRYPT_MAX_PASSPHRASE_SIZE)."""

PASSLIB_LIMIT = 4096
"""Characters of which passlib computes a hash at the most (PASSLIB_MAX_PASSWORD_SIZE)."""

ALPHABET = r"[./0-9A-Za-z]"

NO_TEXT = "it is not UTF-8 text"

TOLD = 100
"""Bad lines that are told one by one."""

PROBE = "secure-registry-probe"
"""The user as which secure-registry itself logs in, and its repository: nobody else may be called so, in any case."""

DECOY = "secure-registry-nobody"
"""How the names of users begin whom nobody can be (decoy.py); no other one's may, in any case."""


class Scheme(StrEnum):
    """Hash schemes that we write, by the name of their option in Apache's tool."""

    SHA512 = "sha512"
    SHA256 = "sha256"
    BCRYPT = "bcrypt"
    APR1 = "apr1"
    SHA = "sha"
    CRYPT = "crypt"


FORMS = {
    "sha512_crypt": rf"\$6\$(rounds=\d{{1,9}}\$)?[^$:\s]{{0,16}}\${ALPHABET}{{86}}",
    "sha256_crypt": rf"\$5\$(rounds=\d{{1,9}}\$)?[^$:\s]{{0,16}}\${ALPHABET}{{43}}",
    "bcrypt": rf"\$2[aby]\$(0[4-9]|[12]\d|3[01])\${ALPHABET}{{53}}",
    "yescrypt": rf"\$g?y\${ALPHABET}+\${ALPHABET}{{0,86}}\${ALPHABET}{{43}}",
    "scrypt": rf"\$7\${ALPHABET}{{11,97}}\${ALPHABET}{{43}}",
    "bcrypt_x": rf"\$2x\$(0[4-9]|[12]\d|3[01])\${ALPHABET}{{53}}",
    "sha1_crypt": rf"\$sha1\$[1-9]\d{{0,9}}\${ALPHABET}{{1,64}}\${ALPHABET}{{28}}",
    "sun_md5_crypt": rf"\$md5(,rounds=[1-9]\d{{0,9}})?\${ALPHABET}{{8}}\${{1,2}}{ALPHABET}{{22}}",
    "apr_md5_crypt": rf"\$apr1\$[^$:\s]{{0,8}}\${ALPHABET}{{22}}",
    "md5_crypt": rf"\$1\$[^$:\s]{{0,8}}\${ALPHABET}{{22}}",
    "ldap_salted_sha1": r"\{SSHA\}[A-Za-z0-9+/]{32,}={0,2}",
    "ldap_sha1": r"\{SHA\}[A-Za-z0-9+/]{27}=",
    "des_crypt": rf"{ALPHABET}{{13}}",
    "bsdi_crypt": rf"_{ALPHABET}{{19}}",
    "bigcrypt": rf"{ALPHABET}{{2}}({ALPHABET}{{11}}){{2,16}}",
    "nthash": r"\$3\$\$[0-9a-f]{32}",
}
"""Hashes that nginx accepts, its own and those of crypt(5): name of the scheme, passlib's if it has one -> form."""

FORM = re.compile("|".join(f"(?P<{name}>{form})" for name, form in FORMS.items()))

OF_CRYPT = {"yescrypt", "scrypt", "bcrypt_x", "sha1_crypt", "sun_md5_crypt", "bsdi_crypt", "bigcrypt", "nthash"}
"""Those that crypt(3) is asked about here."""

OLD = {"bcrypt_x", "sha1_crypt", "sun_md5_crypt", "bsdi_crypt", "bigcrypt", "nthash"}
WEAK = {"apr_md5_crypt", "md5_crypt", "ldap_salted_sha1", "ldap_sha1", "des_crypt", *OLD}
NAMED = 5
"""Users that one warning names."""


@dataclass(frozen=True)
class User:
    """A user of an htpasswd file, and the line (from 1) that names it."""

    name: str
    hash: str
    line: int


def scheme_of(value: str) -> str | None:
    """passlib's name of the scheme of hash `value`; None if nginx could not check a password with it."""
    found = FORM.fullmatch(value)
    return found.lastgroup if found else None


def name_problem(name: str) -> str:
    """What is wrong with user name `name`; "" if nothing is."""
    if not name:
        return "the user name is empty"
    if not utf8.is_text(name):
        return NO_TEXT
    if ":" in name or re.search(r"[\x00-\x1f\x7f]", name):
        return "a user name has no colon and no control characters"
    if len(name.encode()) > 255:
        return "a user name has at most 255 bytes"
    if is_ours(name):
        return f"{PROBE} is the user as which secure-registry itself looks whether one can log in, {DECOY}… nobody"
    return ""


def is_ours(name: str) -> bool:
    """Whether user `name` is our own probe or a decoy; nginx, where they are told apart, does not look at the case."""
    return name.casefold() == PROBE or name.casefold().startswith(DECOY)


def parse(data: bytes, where: str) -> tuple[tuple[User, ...], tuple[Problem, ...]]:
    """The users in the bytes of an htpasswd file, and a problem for each line that can't be used.

    Blank lines and comments are passed over; of two lines for one user the first counts, as nginx does it. After
    `TOLD` bad lines, the others are told as one; and that the file is UTF-16 is one, too, whatever was added to it.
    """
    found: dict[str, User] = {}
    problems: list[Problem] = []
    bad = 0
    for number, raw in enumerate(data.removeprefix(utf8.BOM.encode()).split(b"\n"), 1):
        line = raw.rstrip(b"\r")
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        user = _user(line, number)
        if isinstance(user, User) and user.name in found:
            user = (f"user {user.name!r} stands again (first in line {found[user.name].line})", "remove this line")
        if isinstance(user, User):
            found[user.name] = user
        else:
            bad += 1
            if bad <= TOLD:
                problems.append(Problem(f"{where}:{number}", *user))
    if bad > TOLD:
        hint = "see whether it is the right file; each line is USER:HASH"
        problems.append(Problem(where, f"{bad - TOLD} more lines can't be used", hint))
    if utf8.is_utf16(data):
        problems = [Problem(where, utf8.UTF_16, f"none of the users in it can log in; {utf8.HINT}")]
    return tuple(found.values()), tuple(problems)


def _user(line: bytes, number: int) -> User | tuple[str, str]:
    """The user of one line, or what is wrong with it and what to do."""
    again = "write it anew: secure-registry htpasswd USER"
    try:
        name, colon, rest = utf8.exact(line, "").partition(":")
    except BadInput as error:
        return error.problems[0].what, again
    if not colon:
        return "no colon: a line is USER:HASH", again
    if wrong := name_problem(name):
        return wrong, "remove this line, or give the user another name" if is_ours(name) else again
    value = rest.partition(":")[0].strip()
    if not value:
        return "a user without a password", again
    if value.startswith("{PLAIN}"):
        return "a password in plain text", again
    if scheme_of(value) is None:
        return "what stands behind the colon is not a hash that nginx knows", again
    if cost := hashcost.too_much(value):
        return f"user {name!r} can't log in: {cost}", f"hash anew: secure-registry htpasswd {quoting.shell(name)}"
    return User(name, value, number)


def render(users: Iterable[User]) -> bytes:
    """The users as nginx reads them, and nothing else."""
    return "".join(f"{user.name}:{user.hash}\n" for user in users).encode()


def fast_hash(password: str, salt: bytes = b"") -> str:
    """The hash of a `password` that nobody can guess (256 random bits): to check it costs next to nothing."""
    made = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest() + salt
    return f"{{{'SSHA' if salt else 'SHA'}}}{utf8.shown(base64.b64encode(made))}"


def weak(users: Iterable[User], where: str) -> tuple[Problem, ...]:
    """A warning that names the users whose hashes are quickly guessed, should they ever leak; nothing where none is."""
    found = [(user, scheme) for user in users if (scheme := scheme_of(user.hash)) in WEAK]
    if not found:
        return ()
    first = found[0][0]
    schemes = ", ".join(sorted({str(scheme) for _, scheme in found}))
    named = ", ".join(repr(user.name) for user, _ in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    what = f"weak hashes ({schemes}), of the passwords of {named}{more}"
    return (Problem(f"{where}:{first.line}", what, f"hash anew: secure-registry htpasswd {quoting.shell(first.name)}"),)


def empty(users: Iterable[User], where: str) -> tuple[Problem, ...]:
    """A warning for each user with a hash of the empty password, as far as that can be told without work."""
    return tuple(
        Problem(
            f"{where}:{user.line}",
            f"the password of user {user.name!r} is empty, so it lets nobody in",
            f"give one: secure-registry htpasswd {quoting.shell(user.name)}",
        )
        for user in users
        if _is_of_nothing(user.hash)
    )


def _is_of_nothing(value: str) -> bool:
    scheme, brace, text = value.partition("}")
    if not brace or scheme not in ("{SHA", "{SSHA"):
        return False
    digest = base64.b64decode(f"{text}===")
    return digest[:20] == hashlib.sha1(digest[20:], usedforsecurity=False).digest()


def password_problem(password: str) -> str:
    """What is wrong with `password`, whatever it is hashed by; "" if nothing is."""
    if not password:
        return "it is empty"
    if not utf8.is_text(password):
        return NO_TEXT
    if re.search(r"[\x00-\x1f\x7f]", password):
        return "it has control characters, such as tabs or ends of lines"
    return f"it is longer than {LIMIT} bytes, more than can be checked" if len(password.encode()) > LIMIT else ""


def check_password(password: str, scheme: Scheme) -> None:
    """Raise BadInput if `password` can't be used."""
    if wrong := password_problem(password):
        raise bad_input("password", wrong, "give another one; nothing was changed")
    if scheme is Scheme.BCRYPT and len(password.encode()) > BCRYPT_LIMIT:
        raise bad_input("password", f"bcrypt looks at {BCRYPT_LIMIT} bytes only", "use -5, or a shorter password")


def make_hash(password: str, scheme: Scheme = Scheme.SHA512, cost: int | None = None) -> str:
    """`password` hashed; `cost` is rounds for sha256 and sha512, log2 of rounds for bcrypt.

    Raises BadInput for a password that can't be used, SecregError when this host can't make such hashes.
    """
    check_password(password, scheme)
    if scheme is Scheme.BCRYPT:
        value = _bcrypt(password, cost or BCRYPT_COST)
    else:
        names = {
            Scheme.SHA512: "sha512_crypt",
            Scheme.SHA256: "sha256_crypt",
            Scheme.APR1: "apr_md5_crypt",
            Scheme.SHA: "ldap_sha1",
            Scheme.CRYPT: "des_crypt",
        }
        handler = _handler(names[scheme])
        if scheme in (Scheme.SHA512, Scheme.SHA256):
            handler = handler.using(rounds=cost or ROUNDS)
        value = str(handler.hash(password))
    if scheme_of(value) is None:  # crypt(3) of some hosts knows some only, and says so by a hash that is none
        raise SecregError(f"this host can't make a {scheme} hash", "use another scheme: -5")
    return value


def _bcrypt(password: str, cost: int) -> str:
    """bcrypt by the module itself where there is one: passlib 1.7.4 can't load bcrypt 5."""
    try:
        import bcrypt
    except ImportError:
        raise SecregError("bcrypt is not available here", f"{distro.install('python3-bcrypt')}, or use -5") from None
    return utf8.shown(bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)))


def verify(password: str, value: str) -> bool:
    """Whether `password` is the one of hash `value`. Raises SecregError where crypt(3) is needed and there is none."""
    name = scheme_of(value)
    if name is None or not utf8.is_text(password) or "\0" in password or len(password) > PASSLIB_LIMIT:
        return False
    if name in OF_CRYPT:
        return crypt.is_right(password, value)
    if name == "bcrypt":
        import bcrypt

        return bcrypt.checkpw(password.encode()[:BCRYPT_LIMIT], value.encode())
    return bool(_handler(name).verify(password, value))


def _handler(name: str) -> Any:
    """passlib's handler `name`; its remarks about old modules are not for our users."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import passlib.hash

        return getattr(passlib.hash, name)
