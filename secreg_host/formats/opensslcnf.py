"""openssl.cnf: what gencert puts into a certificate. The subset of OpenSSL's config(5) and x509v3_config(5) that
request files use: sections, variables, [req], the distinguished name, extensions, alternative names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from secreg_host.base import names
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.names import IPAddress

SUBJECT = {
    "C": ("C", "countryName"),
    "ST": ("ST", "stateOrProvinceName"),
    "L": ("L", "localityName"),
    "O": ("O", "organizationName"),
    "OU": ("OU", "organizationalUnitName"),
    "CN": ("CN", "commonName"),
    "emailAddress": ("emailAddress",),
}
"""Short names of subject attributes (RFC 4519) -> how openssl.cnf spells them."""

KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)
EXTENDED = ("serverAuth", "clientAuth")
CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
"""A line that goes on in the next: a backslash at its end that no other one makes a plain character."""

LONGEST = 65536
"""Characters of a value, as in OpenSSL (CONF_MAX_VALUE): variables can make it grow without end."""

NEEDED = {"keyUsage": "digitalSignature", "extendedKeyUsage": "serverAuth"}
"""Without which no client takes a server's certificate (RFC 8446, 4.4.2.2; RFC 5280, 4.2.1.12)."""

IGNORED = {"subjectKeyIdentifier", "authorityKeyIdentifier", "nsComment", "nsCertType"}
"""Extensions that gencert sets by itself, or that nobody reads any more."""


@dataclass(frozen=True)
class Request:
    """What openssl.cnf asks for. subject: (short name, value); key_usage and extended_key_usage: OpenSSL's names.

    places: `file:line` of what clients may object to, by its name: keyUsage, extendedKeyUsage, subjectAltName, CN."""

    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    rsa_bits: int | None = None
    places: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Value:
    """A value, and the place that it stands at."""

    text: str
    where: str


Sections = dict[str, dict[str, Value]]


def sections(text: str, where: str) -> tuple[Sections, list[Problem]]:
    """The sections of `text` with variables replaced, and the lines that can't be read. "": before any section."""
    found: Sections = {"": {}}
    problems: list[Problem] = []
    current = found[""]
    lines = text.removeprefix("\ufeff").splitlines()
    number = 0
    while number < len(lines):
        line, place = lines[number], f"{where}:{number + 1}"
        number += 1
        pieces = [line]
        while CONTINUED.search(pieces[-1]) and number < len(lines):
            pieces[-1] = pieces[-1][:-1]
            pieces.append(lines[number])
            number += 1
        line = "".join(pieces)
        line = re.sub(r"(?<!\\)#.*", "", line).strip()
        if not line or line.startswith("."):  # .include and .pragma: nothing that a request needs
            continue
        if line.startswith("[") and line.find("]") == len(line) - 1 and (header := line[1:-1].strip()):
            current = found.setdefault(header, {})
            continue
        key, equals, value = line.partition("=")
        if not equals:
            problems.append(Problem(place, "neither [section] nor name = value", "correct the line"))
            continue
        current[key.strip()] = Value(_expand(value.strip(), current, found, place, problems), place)
    return found, problems


def _expand(text: str, own: Mapping[str, Value], all_: Sections, place: str, problems: list[Problem]) -> str:
    """`text` without quotes and escapes, its `$var`, `${var}`, `$(section::var)` replaced."""

    left = LONGEST

    def replaced(match: re.Match[str]) -> str:
        nonlocal left
        if match["escaped"]:
            return match["escaped"]
        name = match["name"] or match["braced"]
        section, _, key = name.rpartition("::")
        value = all_.get(section, {}).get(key) if section else own.get(key) or all_[""].get(key)
        if value is None:
            problems.append(Problem(place, "a variable in it is not set above", "set it, or write the value"))
            return ""
        left -= len(value.text)
        return value.text if left >= 0 else ""

    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    pattern = r"\\(?P<escaped>.)|\$(?:\{(?P<braced>[\w:]+)\}|(?P<name>\w+(?:::\w+)?))"
    text = re.sub(pattern, replaced, text)
    if left < 0 or len(text) > LONGEST:
        problems.append(Problem(place, f"the value has more than {LONGEST} characters", "write less"))
        return ""
    return text


def parse(text: str, where: str) -> Request:
    """What `text` asks for. Raises BadInput with every problem, each with `where` and its line."""
    found, problems = sections(text, where)
    reader = _Reader(found, where, problems)
    request = reader.request()
    if problems:
        raise BadInput(problems)
    return request


class _Reader:
    def __init__(self, found: Sections, where: str, problems: list[Problem]) -> None:
        self.sections = found
        self.where = where
        self.problems = problems
        self.places: dict[str, str] = {}

    def wrong(self, value: Value, what: str, hint: str = "correct the line") -> None:
        self.problems.append(Problem(value.where, what, hint))

    def request(self) -> Request:
        req = self.sections.get("req", {})
        bits = req.get("default_bits")
        if bits and not (bits.text.isdecimal() and len(bits.text) < 6 and 2048 <= int(bits.text) <= 8192):
            self.wrong(bits, "default_bits is not a number from 2048 to 8192")
            bits = None
        extensions: dict[str, Value] = {}
        for option in ("req_extensions", "x509_extensions"):
            if option in req:
                extensions |= self.section(req[option])
        dns, ips = self.alternative_names(extensions)
        return Request(
            self.subject(req.get("distinguished_name")),
            dns,
            ips,
            self.usages(extensions, "keyUsage", KEY_USAGES, ("digitalSignature", "keyEncipherment")),
            self.usages(extensions, "extendedKeyUsage", EXTENDED, ("serverAuth",)),
            int(bits.text) if bits else None,
            {name: value.where for name, value in extensions.items()} | self.places,
        )

    def section(self, name: Value) -> dict[str, Value]:
        if name.text not in self.sections:
            self.wrong(name, "there is no such section", "add it, or correct the name")
        return self.sections.get(name.text, {})

    def subject(self, name: Value | None) -> tuple[tuple[str, str], ...]:
        given = self.section(name) if name else self.sections.get("req_distinguished_name", {})
        prompting = self.sections.get("req", {}).get("prompt", Value("yes", "")).text != "no"
        attributes = []
        for short, spellings in SUBJECT.items():
            for spelling in spellings:
                value = given.get(f"{spelling}_default") if prompting else given.get(spelling)
                if value is None or not value.text:
                    continue
                limit = 2 if short == "C" else 64 if short != "emailAddress" else 255
                if len(value.text) > limit or (short == "C" and not re.fullmatch("[A-Z]{2}", value.text)):
                    self.wrong(
                        value,
                        f"{spelling} is not "
                        + ("a country code of two capital letters" if short == "C" else f"at most {limit} characters"),
                    )
                    continue
                attributes.append((short, value.text))
                self.places[short] = value.where
                break
        return tuple(attributes)

    def alternative_names(self, extensions: Mapping[str, Value]) -> tuple[tuple[str, ...], tuple[IPAddress, ...]]:
        entries: list[Value] = []
        for key, value in extensions.items():
            if key in IGNORED or key in ("keyUsage", "extendedKeyUsage", "basicConstraints"):
                if key == "basicConstraints" and "CA:TRUE" in value.text.upper().replace(" ", ""):
                    self.wrong(value, "a server certificate is no CA", "write: basicConstraints = CA:FALSE")
            elif key != "subjectAltName":
                self.wrong(value, "this extension is not known here", "remove the line")
            else:
                for item in value.text.split(","):
                    entries += self.entries(Value(item.strip(), value.where))
        if not any(key == "subjectAltName" for key in extensions):
            entries = self.entries(Value("@alt_names", self.where))
        dns: dict[str, None] = {}
        ips: dict[IPAddress, None] = {}
        for entry in entries:
            self.alternative_name(entry, dns, ips)
        if not dns and not ips and not self.problems:
            self.problems.append(
                Problem(self.where, "no alternative name: no client would accept it", "add DNS.1 = NAME to [alt_names]")
            )
        return tuple(dns), tuple(ips)

    def entries(self, item: Value) -> list[Value]:
        """`@section` as its entries `kind:value`, anything else as itself."""
        if not item.text.startswith("@"):
            return [item]
        section = self.section(Value(item.text[1:], item.where))
        for value in section.values():
            self.places.setdefault("subjectAltName", value.where)
        return [Value(f"{key.split('.')[0]}:{value.text}", value.where) for key, value in section.items()]

    def alternative_name(self, entry: Value, dns: dict[str, None], ips: dict[IPAddress, None]) -> None:
        kind, _, text = entry.text.partition(":")
        if kind == "DNS" and names.is_host_name(text, wildcard=True):
            dns[text.lower()] = None
        elif kind == "DNS":
            self.wrong(entry, "DNS: not a host name", "an address goes into IP.n")
        elif kind == "IP" and (address := names.address(text)):
            ips[address] = None
        elif kind == "IP":
            self.wrong(entry, "IP: not an IP address", "a name goes into DNS.n")
        elif kind not in ("critical", "email", "URI"):
            self.wrong(entry, "an alternative name is neither DNS:… nor IP:…")

    def usages(
        self, extensions: Mapping[str, Value], key: str, known: tuple[str, ...], default: tuple[str, ...]
    ) -> tuple[str, ...]:
        if key not in extensions:
            return default
        words = [word.strip() for word in extensions[key].text.split(",")]
        words = [word for word in words if word and word != "critical"]
        for word in words:
            if word not in known:
                self.wrong(extensions[key], f"{key}: a word is not known", f"known: {', '.join(known)}")
        if NEEDED[key] not in words:
            self.wrong(extensions[key], f"no client takes it without {NEEDED[key]}", f"add {NEEDED[key]}")
        if "keyCertSign" in words:
            self.wrong(extensions[key], "keyCertSign is for CAs, and clients refuse it here", "remove it")
        if {"encipherOnly", "decipherOnly"} & {*words} and "keyAgreement" not in words:
            self.wrong(extensions[key], "encipherOnly and decipherOnly go with keyAgreement only", "remove them")
        return tuple(words)
