"""Certificates made by openssl(1), as people make them and as nobody should."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from secreg_host.formats import der, pem
from tests.der import BITS

NAME, ADDRESS = "registry.example.org", "192.0.2.10"
CONF = """
[ca]
default_ca = made
[made]
dir = {folder}
database = $dir/index
new_certs_dir = $dir
policy = any
unique_subject = no
rand_serial = yes
default_md = sha256
[any]
commonName = supplied
[req]
distinguished_name = any_name
prompt = no
[any_name]
CN = {common}
[ext]
{extensions}
"""
KEYS = {
    "P-256": ("EC", "ec_paramgen_curve:P-256"),
    "P-384": ("EC", "ec_paramgen_curve:P-384"),
    "secp256k1": ("EC", "ec_paramgen_curve:secp256k1"),
    "RSA": ("RSA", "rsa_keygen_bits:2048"),
    "RSA-1024": ("RSA", "rsa_keygen_bits:1024"),
    "RSA-PSS": ("RSA-PSS", "rsa_keygen_bits:2048"),
    "Ed25519": ("ED25519",),
    "Ed448": ("ED448",),
}
CA = (
    "basicConstraints = critical, CA:TRUE",
    "keyUsage = critical, keyCertSign, cRLSign",
    "subjectKeyIdentifier = hash",
)
SERVER = (
    "basicConstraints = critical, CA:FALSE",
    "keyUsage = critical, digitalSignature",
    "extendedKeyUsage = serverAuth",
    f"subjectAltName = DNS:{NAME}",
    "subjectKeyIdentifier = hash",
    "authorityKeyIdentifier = keyid",
)


@dataclass(frozen=True)
class Made:
    """A certificate and its key, PEM. file: where both stand, `.crt` and `.key`."""

    file: Path

    @property
    def crt(self) -> bytes:
        return self.file.with_suffix(".crt").read_bytes()

    @property
    def key(self) -> bytes:
        return self.file.with_suffix(".key").read_bytes()


@dataclass
class Maker:
    """Makes them in `folder`."""

    folder: Path
    count: int = 0
    keys: dict[str, bytes] = field(default_factory=dict)

    def openssl(self, *argv: object, given: bytes = b"") -> bytes:
        done = subprocess.run(
            ["openssl", *map(str, argv)], cwd=self.folder, input=given, capture_output=True, check=False, timeout=30
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def key(self, kind: str) -> bytes:
        """A key of `kind`; RSA ones, which take their time, once."""
        if kind in self.keys:
            return self.keys[kind]
        algorithm, *options = KEYS[kind]
        made = self.openssl(
            "genpkey", "-algorithm", algorithm, *(part for one in options for part in ("-pkeyopt", one))
        )
        if kind.startswith("RSA"):
            self.keys[kind] = made
        return made

    def make(
        self,
        by: Made | None = None,
        *extensions: str,
        common: str = "server",
        key: str = "P-256",
        begins: float = -9,
        ends: float = 90,
        md: str = "sha256",
        options: tuple[str, ...] = (),
    ) -> Made:
        """A certificate signed `by` another one, or by itself. begins, ends: days from now."""
        self.count += 1
        made = Made(self.folder / str(self.count))
        made.file.with_suffix(".key").write_bytes(self.key(key))
        conf = made.file.with_suffix(".cnf")
        conf.write_text(CONF.format(folder=self.folder, common=common, extensions="\n".join(extensions)))
        (self.folder / "index").write_bytes(b"")
        request = made.file.with_suffix(".csr")
        self.openssl("req", "-new", "-config", conf, "-key", made.file.with_suffix(".key"), "-out", request)
        times = [f"{datetime.now(UTC) + timedelta(days=days):%Y%m%d%H%M%SZ}" for days in (begins, ends)]
        signer = by or made
        which: list[object] = ["-selfsign"] if by is None else ["-cert", by.file.with_suffix(".crt")]
        sigopts = [part for one in options for part in ("-sigopt", one)]
        dates = ("-startdate", times[0], "-enddate", times[1])
        self.openssl(
            *("ca", "-batch", "-notext", "-config", conf, "-keyfile", signer.file.with_suffix(".key"), *which),
            *("-md", md, *sigopts, *dates, "-extensions", "ext"),
            *("-in", request, "-out", made.file.with_suffix(".crt")),
        )
        return made

    def with_false_written_out(self, made: Made, by: Made) -> Made:
        """`made` with `critical FALSE` in each extension that is not critical, signed anew: no tool writes that."""
        whole = der.values(pem.blocks(made.crt, "")[0].data)[0]
        tbs, algorithm, _ = der.values(whole.content)
        *fields, last = der.values(tbs.content)
        extensions = b""
        for one in der.values(der.values(last.content)[0].content):
            parts = [part.whole for part in der.values(one.content)]
            extensions += der.encoded(der.SEQUENCE, b"".join([parts[0], *(parts[1:-1] or [der.FALSE]), parts[-1]]))
        told = b"".join(part.whole for part in fields) + der.encoded(
            der.EXTENSIONS, der.encoded(der.SEQUENCE, extensions)
        )
        signed = der.encoded(der.SEQUENCE, told)
        signature = self.openssl("dgst", "-sha256", "-sign", by.file.with_suffix(".key"), given=signed)
        data = der.encoded(der.SEQUENCE, signed + algorithm.whole + der.encoded(BITS, b"\0" + signature))
        made.file.with_suffix(".crt").write_bytes(pem.encoded("CERTIFICATE", data))
        return made
