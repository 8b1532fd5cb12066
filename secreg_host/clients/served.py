"""What clients are to trust: names, addresses and ports under which a generation serves, and its CA. Pure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from secreg_host.base import marks, names, utf8
from secreg_host.generation.generations import Generation
from secreg_host.wanted.parts.certificate import CertificatePart

HTTPS = 443


@dataclass(frozen=True)
class Endpoint:
    """A name or an address (without brackets) and a port. Raises ValueError for a host that is neither."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not names.is_endpoint(self.host):
            raise ValueError("neither a host name nor an address")

    @property
    def authority(self) -> str:
        """Host and port, as in a URL."""
        return names.place(self.host, self.port)

    @property
    def spellings(self) -> tuple[str, ...]:
        """How clients write it before the name of an image: port 443 may be left out, unless the name is a single
        word, which is a user of Docker Hub then (`host/image`)."""
        alone = self.port == HTTPS and ("." in self.host or names.is_ipv6(self.host) or self.host == "localhost")
        return (names.bracketed(self.host), self.authority) if alone else (self.authority,)

    @property
    def insecure_entries(self) -> tuple[str, ...]:
        """The same as dockerd takes it for "insecure-registries": 20.10 does not start with `[ADDRESS]` alone."""
        return tuple(word for word in self.spellings if not word.endswith("]"))


@dataclass(frozen=True)
class Served:
    """endpoints: the most wanted first; ca: the PEM certificate of the CA that signed it (None: not known here)."""

    endpoints: tuple[Endpoint, ...]
    ca: bytes | None

    @property
    def spellings(self) -> tuple[str, ...]:
        """How clients write all of them before the name of an image, each once."""
        return tuple(dict.fromkeys(word for endpoint in self.endpoints for word in endpoint.spellings))

    @property
    def insecure_entries(self) -> tuple[str, ...]:
        """What dockerd takes for all of them, each once."""
        return tuple(dict.fromkeys(word for endpoint in self.endpoints for word in endpoint.insecure_entries))


def hosts(generation: Generation) -> tuple[str, ...]:
    """Each name and address of the certificate that `generation` serves; of a wildcard the names in SERVER_NAME that it
    covers, which come first."""
    given = generation.parts[CertificatePart].usable_names
    wild = tuple(name.removeprefix("*") for name in given if name.startswith("*."))
    covered = [name for name in generation.settings.server_names if f".{name.partition('.')[2]}" in wild]
    return (*covered, *(name for name in given if "*" not in name and name not in covered))


def of(generation: Generation) -> Served:
    """What `generation` serves: each of its `hosts`, on each port with TLS."""
    endpoints = []
    for listen in generation.listens:
        if listen.tls:
            only = listen.host if listen.host not in ("", "::") else None
            endpoints += [
                Endpoint(name, listen.port) for name in hosts(generation) if only is None or _reaches(name, only)
            ]
    return Served(tuple(dict.fromkeys(endpoints)), generation.parts[CertificatePart].ca)


def _reaches(name: str, only: str) -> bool:
    """Whether `name` may lead to the one address that is listened on: an address must be that one."""
    return name == only or not names.is_address(name)


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the DER form of a PEM certificate, hexadecimal."""
    return marks.digest(ssl.PEM_cert_to_DER_cert(utf8.shown(pem)))
