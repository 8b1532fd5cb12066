"""openssl.cnf: what gencert puts into a certificate. Of what OpenSSL's x509v3_config(5) and `openssl req` know, that
which clients of a registry look at: [req], the distinguished name, usages, alternative names. Another extension is
refused by name; left out is what nobody reads (`IGNORED`), and what [req] says of the request itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from secreg_host.base import names, utf8
from secreg_host.base.errors import BadInput, Problem
from secreg_host.base.names import IPAddress
from secreg_host.formats import opensslsyntax
from secreg_host.formats.opensslsyntax import Sections, Value, lookup

SUBJECT = {
    "C": ("countryName", 2),
    "ST": ("stateOrProvinceName", 128),
    "L": ("localityName", 128),
    "O": ("organizationName", 64),
    "OU": ("organizationalUnitName", 64),
    "CN": ("commonName", 64),
    "emailAddress": ("emailAddress", 128),
}
"""Short names of attributes (RFC 4519) -> their long names, and how many characters they take (RFC 5280, A.1)."""

SHORT = {spelling: short for short, (long, _) in SUBJECT.items() for spelling in (short, long)}

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

NEEDED = {"keyUsage": "digitalSignature", "extendedKeyUsage": "serverAuth"}
"""Without which no client takes a server's certificate (RFC 8446, 4.4.2.2; RFC 5280, 4.2.1.12)."""

KNOWN = ("subjectAltName", "basicConstraints", *NEEDED)
IGNORED = {"subjectKeyIdentifier", "authorityKeyIdentifier", "nsComment", "nsCertType"}
"""Extensions that gencert sets by itself, or that nobody reads any more."""

NO_CA = re.compile(r"\s*CA\s*:\s*(FALSE|false|NO?|no?)\s*")
CRITICAL = re.compile(r"critical,\s*")
NUMBERED = re.compile(r"\A[^:,.]*[:,.](?=.)")
"""What stands before an attribute's name, so that there may be several: `0.organizationName`."""

IDNA = """python3 -c 'print("NAME".encode("idna").decode())'"""


@dataclass(frozen=True)
class Request:
    """What openssl.cnf asks for. subject: (short name, value); key_usage and extended_key_usage: OpenSSL's names.

    places: `file:line` of what clients may object to, by its name: default_bits, keyUsage, extendedKeyUsage,
    subjectAltName, CN; named: `file:line` of each alternative name, and of each common name."""

    subject: tuple[tuple[str, str], ...]
    dns_names: tuple[str, ...]
    addresses: tuple[IPAddress, ...]
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    rsa_bits: int | None = None
    places: Mapping[str, str] = field(default_factory=dict, compare=False)
    named: Mapping[str, str] = field(default_factory=dict, compare=False)


def parse(data: bytes, where: str) -> Request:
    """What `data` asks for. Raises BadInput with every problem, each with `where` and its line."""
    found, problems = opensslsyntax.sections(utf8.text(data, where), where)
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
        self.named: dict[str, str] = {}

    def wrong(self, value: Value, what: str, hint: str) -> None:
        self.problems.append(Problem(value.where, what, hint))

    def option(self, name: str) -> Value | None:
        return lookup(self.sections, "req", name)

    def request(self) -> Request:
        bits = self.option("default_bits")
        if bits and not (re.fullmatch("[0-9]{4}", bits.text) and 2048 <= int(bits.text) <= 8192):
            self.wrong(bits, "default_bits is not a number from 2048 to 8192", "write: default_bits = 4096")
            bits = None
        if bits:
            self.places["default_bits"] = bits.where
        named = self.option("req_extensions") or self.option("x509_extensions")  # in the order of `openssl req`
        extensions = self.section(named) if named else {}
        self.known(extensions)
        dns, ips = self.alternative_names(extensions)
        return Request(
            tuple(self.subject()),
            dns,
            ips,
            self.usages(extensions, "keyUsage", KEY_USAGES, ("digitalSignature", "keyEncipherment")),
            self.usages(extensions, "extendedKeyUsage", EXTENDED, ("serverAuth",)),
            int(bits.text) if bits else None,
            {name: value.where for name, value in extensions.items()} | self.places,
            self.named,
        )

    def section(self, name: Value) -> dict[str, Value]:
        if name.text not in self.sections:
            self.wrong(name, "there is no such section", "add it, or write the name of one that is there")
        return self.sections.get(name.text, {})

    def subject(self) -> Iterator[tuple[str, str]]:
        """Attributes in the order of the file."""
        name = self.option("distinguished_name")
        given = self.section(name) if name else self.sections.get("req_distinguished_name", {})
        prompt = self.option("prompt")
        if prompt is None or prompt.text != "no":
            given = self.answers(given)
        for key, value in given.items():
            short = SHORT.get(NUMBERED.sub("", key, count=1), "")
            if not short:
                self.wrong(value, "this attribute is not known here", f"use one of: {', '.join(SUBJECT)}")
            elif value.text and self.fits(short, value):
                self.places[short] = value.where
                if short == "CN":
                    self.named.setdefault(value.text, value.where)
                yield short, value.text

    def answers(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """What counts where OpenSSL would ask the questions `given`: what it proposes, for nobody is asked here."""
        found: dict[str, Value] = {}
        for suffix in ("_default", "_value"):  # the latter is not even asked for
            found |= {key.removesuffix(suffix): value for key, value in given.items() if key.endswith(suffix)}
        if given and not found:
            question = next(iter(given.values()))
            self.wrong(question, "OpenSSL takes this for a question, not for a value", "add to [req]: prompt = no")
        return found

    def fits(self, short: str, value: Value) -> bool:
        long, limit = SUBJECT[short]
        if short == "C" and not re.fullmatch("[A-Z]{2}", value.text):
            self.wrong(value, f"{long} is not two capital letters", "write the country's code, such as: C = DE")
        elif len(value.text) > limit:
            self.wrong(value, f"{long} has more than {limit} characters", "write a shorter one")
        elif short == "emailAddress" and not value.text.isascii():
            self.wrong(value, f"{long} has letters that no such address has", "write it with ASCII letters only")
        else:
            return True
        return False

    def known(self, extensions: Mapping[str, Value]) -> None:
        """See to it that there are no `extensions` but those that are put into the certificate."""
        for key, value in extensions.items():
            if key == "basicConstraints":
                if not NO_CA.fullmatch(_plain(value)):
                    self.wrong(value, "a server certificate is no CA", "write: basicConstraints = CA:FALSE")
            elif key not in (*KNOWN, *IGNORED):
                self.wrong(value, "this extension is not known here", f"remove the line; known: {', '.join(KNOWN)}")

    def alternative_names(self, extensions: Mapping[str, Value]) -> tuple[tuple[str, ...], tuple[IPAddress, ...]]:
        dns: dict[str, None] = {}
        ips: dict[IPAddress, None] = {}
        default = Value("@alt_names", self.where) if "alt_names" in self.sections else None
        if given := extensions.get("subjectAltName", default):
            for kind, value in self.entries(given):
                self.alternative_name(kind, value, dns, ips)
        if not dns and not ips and not self.problems:
            self.problems.append(
                Problem(self.where, "no alternative name: no client would accept it", "add DNS.1 = NAME to [alt_names]")
            )
        return tuple(dns), tuple(ips)

    def entries(self, given: Value) -> Iterator[tuple[str, Value]]:
        """Kind and value of each: `@section`, or all in one line."""
        text = _plain(given)
        if text.startswith("@"):
            for key, value in self.section(Value(text[1:], given.where)).items():
                self.places.setdefault("subjectAltName", value.where)
                yield key.partition(".")[0], value
            return
        for item in text.split(","):
            kind, _, value_text = item.partition(":")
            yield kind.strip().partition(".")[0], Value(value_text.strip(), given.where)

    def alternative_name(self, kind: str, value: Value, dns: dict[str, None], ips: dict[IPAddress, None]) -> None:
        if kind == "DNS" and names.is_host_name(value.text, wildcard=True):
            dns[value.text.lower()] = None
            self.named.setdefault(value.text.lower(), value.where)
        elif kind == "DNS" and not value.text.isascii():
            self.wrong(value, "DNS: not a host name as clients ask for it", f"write what this prints: {IDNA}")
        elif kind == "DNS":
            self.wrong(value, "DNS: not a host name", "correct it; an address goes into IP.n")
        elif kind == "IP" and (address := names.address(value.text)):
            ips[address] = None
            self.named.setdefault(str(address), value.where)
        elif kind == "IP":
            self.wrong(value, "IP: not an IP address", "correct it; a name goes into DNS.n")
        else:
            self.wrong(value, "an alternative name is neither DNS nor IP", "remove it, or write DNS:NAME or IP:ADDRESS")

    def usages(
        self, extensions: Mapping[str, Value], key: str, known: tuple[str, ...], default: tuple[str, ...]
    ) -> tuple[str, ...]:
        if key not in extensions:
            return default
        value = extensions[key]
        words = tuple(word.strip() for word in _plain(value).split(","))
        if not {*words} <= {*known}:
            self.wrong(value, f"{key}: a word is not known", f"write some of these: {', '.join(known)}")
        elif NEEDED[key] not in words:
            self.wrong(value, f"no client takes it without {NEEDED[key]}", f"add {NEEDED[key]}")
        if "keyCertSign" in words:
            self.wrong(value, "keyCertSign is for CAs, and clients refuse it here", "remove keyCertSign")
        if {"encipherOnly", "decipherOnly"} & {*words} and "keyAgreement" not in words:
            self.wrong(
                value, "encipherOnly and decipherOnly go with keyAgreement only", "remove both, or add keyAgreement"
            )
        return words


def _plain(value: Value) -> str:
    """`value` of an extension without the mark that it is critical: which ones are is no choice of openssl.cnf's."""
    return CRITICAL.sub("", value.text, count=1) if CRITICAL.match(value.text) else value.text
