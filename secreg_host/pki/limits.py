"""What a CA may sign, by its own certificate: for which names (RFC 5280, 4.2.1.10), how deep, and whether at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from secreg_host.base.names import IPAddress, address, network
from secreg_host.pki.chains import Cert


def outside(ca: Cert, names: Iterable[str], addresses: Iterable[IPAddress]) -> tuple[str, ...]:
    """Which of `names` and `addresses` the CA's name constraints do not let it sign. A kind of name of which it permits
    none by name is not constrained."""
    limits = ca.extension(x509.NameConstraints)
    if limits is None:
        return ()
    permitted, excluded = limits.permitted_subtrees or (), limits.excluded_subtrees or ()
    domains, others = _domains(permitted), _domains(excluded)
    networks, elsewhere = _networks(permitted), _networks(excluded)
    return (
        *(
            name
            for name in names
            if (domains and not any(_within(name, one) for one in domains)) or any(_within(name, one) for one in others)
        ),
        *(
            str(address)
            for address in addresses
            if (networks and not any(address in one for one in networks)) or any(address in one for one in elsewhere)
        ),
    )


def outside_named(ca: Cert, named: Iterable[str]) -> tuple[str, ...]:
    """The same of names and addresses that are mixed, as settings hold them."""
    found = {name: address(name) for name in named}
    hosts = [name for name, number in found.items() if number is None]
    return outside(ca, hosts, [number for number in found.values() if number is not None])


def beyond(ca: Cert, names: Iterable[str]) -> tuple[str, ...]:
    """The domains that `ca` may sign all of, by name, though of `names` there is none but some below them."""
    limits = ca.extension(x509.NameConstraints)
    permitted = _domains(limits.permitted_subtrees or ()) if limits is not None else ()
    wanted = [name.lower().removeprefix("*.") for name in names]
    return tuple(one for one in permitted if one not in wanted and any(_within(name, one) for name in wanted))


def faults(ca: Cert, below: int) -> Iterator[str]:
    """Why `ca`, with so many CAs `below` it, can't have signed a server's certificate, for Go and for OpenSSL. A
    root of version 1, which says nothing of itself, can."""
    constraints, usage = ca.extension(x509.BasicConstraints), ca.extension(x509.KeyUsage)
    said = constraints is not None or ca.parsed.version is x509.Version.v3
    if (said and (constraints is None or not constraints.ca)) or (usage is not None and not usage.key_cert_sign):
        yield "is no CA (basicConstraints, keyUsage)"
    if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
        yield f"may have {constraints.path_length} CAs below it (pathlen), and has {below}"
    extended = ca.extension(x509.ExtendedKeyUsage)
    if extended is not None and not {ExtendedKeyUsageOID.SERVER_AUTH, _ANY} & set(extended):
        yield "is for no server's certificates (extendedKeyUsage)"


_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def _domains(trees: Iterable[x509.GeneralName]) -> list[str]:
    return [str(item.value).lower() for item in trees if isinstance(item, x509.DNSName)]


def _networks(trees: Iterable[x509.GeneralName]) -> list:  # type: ignore[type-arg]
    return [network(str(item.value)) for item in trees if isinstance(item, x509.IPAddress)]


def _within(name: str, domain: str) -> bool:
    """Whether `name` is `domain` or below it; below it only, if that begins with a dot; "" is every domain."""
    bare = name.lower().removeprefix("*.")
    return not domain or bare == domain or bare.endswith(f".{domain.removeprefix('.')}")
