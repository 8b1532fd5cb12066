"""openssl.cnf by the judgement of OpenSSL: `openssl req` makes a request of the same bytes, in which stands what our
reader found. Where both differ, the reason is written beside the case.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secreg_host.base import quoting
from secreg_host.base.errors import BadInput, Problem
from secreg_host.formats import opensslcnf
from secreg_host.pki import certs

NAMES = {oid: short for short, oid in certs.ATTRIBUTES.items()}
EXTENDED = {oid: name for name, oid in certs.EXTENDED_USAGES.items()}


def cnf(*, top: str = "", req: str = "", dn: str = "CN = a.example", ext: str = "", alt: str = "DNS.1 = a.example",
        prompt: str = "prompt = no", named: str = "req_extensions") -> bytes:  # fmt: skip
    """A file whose `req` begins in line 2 + lines of `top`, and so on: all other lines are good."""
    parts = [top, "[req]", f"distinguished_name = dn\n{named} = ext", prompt, req, "[dn]", dn, "[ext]"]
    parts += ["" if "subjectAltName" in ext else "subjectAltName = @alt_names", ext, "[alt_names]", alt]
    return "\n".join([*filter(None, parts), ""]).encode()


@dataclass(frozen=True)
class Asked:
    """What a certificate is to hold; None: the file says nothing of it."""

    subject: tuple[tuple[str, str], ...]
    names: frozenset[str]
    usage: frozenset[str] | None
    extended: frozenset[str] | None


def by_us(data: bytes) -> Asked | tuple[Problem, ...]:
    try:
        found = opensslcnf.parse(data, "f")
    except BadInput as error:
        return error.problems
    names = frozenset([*found.dns_names, *map(str, found.addresses)])
    return Asked(found.subject, names, frozenset(found.key_usage), frozenset(found.extended_key_usage))


def by_openssl(data: bytes, folder: Path) -> Asked | str:
    """The same by openssl-req(1), which makes a request by `req_extensions`, a certificate by `x509_extensions`; or why
    not."""
    (folder / "cnf").write_bytes(data)
    if not (folder / "key").exists():
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (folder / "key").write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*form))
    signed = b"x509_extensions" in data and b"req_extensions" not in data
    argv = [
        "openssl",
        "req",
        "-batch",
        "-utf8",
        "-new",
        "-key",
        "key",
        "-config",
        "cnf",
        *(["-x509"] if signed else []),
    ]
    done = subprocess.run(argv, cwd=folder, env={"SET": "x"}, capture_output=True, timeout=60, check=False)
    if done.returncode or not done.stdout:
        return done.stderr.decode(errors="replace")
    made = x509.load_pem_x509_certificate(done.stdout) if signed else x509.load_pem_x509_csr(done.stdout)
    found = {extension.oid: extension.value for extension in made.extensions}
    sans = found.get(x509.SubjectAlternativeName.oid, ())
    usage, extended = found.get(x509.KeyUsage.oid), found.get(x509.ExtendedKeyUsage.oid)
    return Asked(
        tuple((NAMES.get(item.oid, item.oid.dotted_string), str(item.value)) for item in made.subject),
        frozenset(f"{_kind(name)}{name.value}" for name in sans),
        None if usage is None else frozenset(name for name, field in certs.USAGES.items() if _has(usage, field)),
        None if extended is None else frozenset(EXTENDED.get(oid, oid.dotted_string) for oid in extended),
    )


def _kind(name: x509.GeneralName) -> str:
    return "" if isinstance(name, x509.DNSName | x509.IPAddress) else f"{type(name).__name__} "


def _has(usage: x509.KeyUsage, field: str) -> bool:
    return bool(usage.key_agreement or field not in ("encipher_only", "decipher_only")) and bool(getattr(usage, field))


def agree(ours: Asked | tuple[Problem, ...], theirs: Asked | str) -> bool:
    """Whether both found the same. What the file says nothing of, we decide."""
    if not isinstance(ours, Asked) or not isinstance(theirs, Asked):
        return False
    silent = {field: None for field in ("usage", "extended") if getattr(theirs, field) is None}
    lower = frozenset(name.lower() for name in theirs.names)
    return replace(ours, **silent) == replace(theirs, names=lower)  # type: ignore[arg-type]


SAME = {
    "plain": cnf(),
    "CRLF": cnf().replace(b"\n", b"\r\n"),
    "a BOM": b"\xef\xbb\xbf" + cnf(),
    "no end of the last line": cnf().rstrip(b"\n"),
    "UTF-8": cnf(dn="O = Bücher\nCN = a.example"),
    "a line separator of Unicode": cnf(dn="O = a\u2028b\x85c"),
    "a vertical tab and a form feed": cnf(dn="O = a\x0bb\x0cc"),
    "a carriage return within": cnf(dn="O = a\rb"),
    "# in quotes": cnf(dn='O="C# Corp"'),
    "# escaped": cnf(dn=r"O = C\# Corp # the company"),
    "# without a blank": cnf(dn="O = C#Corp"),
    "quotes in the midst": cnf(dn="""O = a "b  c"'d'`e` f"""),
    "quotes within others": cnf(dn="""O = "it's" 'a "b"'"""),
    "blanks in quotes": cnf(dn="O = '  a  '"),
    "escapes": cnf(dn=r"O = a\\b\"c\'d\$e\tf\xg"),
    "escapes in quotes": cnf(dn=r'O = "a\"b\\c\nd"'),
    "a blank escaped at the end": cnf(dn="O = a\\  "),
    "a backslash at the end": cnf(alt="DNS.1 = a.example\\"),
    "what templates write": cnf(dn="O = " + quoting.openssl('C# "Corp" $x ${y} `z`\'s \\')),
    "= in a value": cnf(dn="O = a=b"),
    "a section in a value": cnf(dn="O = [x]"),
    "continued": cnf(dn="O = a \\\n  b\\\nc"),
    "continued with CRLF": cnf(dn="O = a \\\r\n b"),
    "two backslashes do not continue": cnf(dn="O = a\\\\\nL = b"),
    "three do not either": cnf(dn="O = a\\\\\\\nL = b"),
    "continued up to the end": cnf(alt="DNS.1 = a.example\nDNS.2 = b.exa\\\nmple\\"),
    "blanks around": cnf().replace(b"[", b" [ ").replace(b"]", b"\t] ").replace(b" = ", b"\t=  "),
    "no blanks": cnf().replace(b" = ", b"="),
    "comments everywhere": cnf().replace(b"\n", b" # x = 'y\n"),
    "a name of a section with blanks": cnf(dn="[ my  names ]\nDNS = b.example\n[dn]\nCN = a.example").replace(
        b"@alt_names", b"@my  names"
    ),
    "a section twice": cnf(alt="DNS.1 = a.example\n[dn]\nO = b\n[alt_names]\nDNS.2 = b.example"),
    "assigned from elsewhere": cnf(alt="DNS.1 = a.example\ndn::O = b"),
    "$name of the same section": cnf(dn="O = a\nOU = b$O"),
    "$name": cnf(top="host = a", alt="DNS.1 = $host.example\nDNS.2 = x$host-y.example"),
    "${name} and $(name)": cnf(top="host = a", alt="DNS.1 = ${host}b.example\nDNS.2 = $(host)c.example"),
    "${section::name}": cnf(alt="DNS.1 = ${dn::CN}\nDNS.2 = b.$(dn::CN)\nDNS.3 = c.$dn::CN"),
    "a variable of the default section by another's name": cnf(top="host = a", alt="DNS.1 = ${dn::host}.example"),
    "[default]": cnf(top="[default]\nhost = a", alt="DNS.1 = $host.example"),
    "a variable in a variable": cnf(top="a = x\nb = $a.y", alt="DNS.1 = $b.example"),
    "no variable in single quotes": cnf(dn="O = '$nothing'"),
    "the old value of itself": cnf(top="a = x\n[other]\na = $a.y", alt="DNS.1 = ${other::a}.example"),
    "options before any section": cnf(top="prompt = no", prompt=""),
    "long names": cnf(dn="countryName = DE\nlocalityName = b\ncommonName = a.example\nemailAddress = a@b.example"),
    "numbered attributes": cnf(dn="0.OU = a\n1.OU = b\nx,O = c\ny.CN = d"),
    "the order of the file": cnf(dn="CN = a.example\nO = b\nC = DE"),
    "64 characters, more bytes": cnf(dn=f"O = {'ü' * 64}"),
    "128 characters of a place": cnf(dn=f"L = {'a' * 128}\nST = {'b' * 128}"),
    "questions": cnf(
        dn="0.organizationName = Name?\n0.organizationName_default = b\ncommonName = CN?\n"
        "commonName_default = a.example\ncommonName_max = 64\nOU = no default",
        prompt="",
    ),  # fmt: skip
    "answers": cnf(dn="CN = Name?\nCN_value = a.example\nCN_default = b", prompt="prompt = yes"),
    "a question that OpenSSL does not know": cnf(dn="CN = ?\nCN_default = a.example\nSET-ex3 = number 3", prompt=""),
    "kinds without numbers": cnf(alt="DNS = a.example\nDNS.x.y = b.example\nIP = 10.0.0.1\nIP.9 = fd00::1"),
    "in one line": cnf(ext="subjectAltName = DNS:a.example , IP : fd00::1,DNS.1:*.b.example"),
    "names that are critical": cnf(ext="subjectAltName = critical,DNS:a.example"),
    "a section that is critical": cnf(ext="subjectAltName = critical, @alt_names"),
    "capital letters": cnf(alt="DNS.1 = A.Example"),
    "a wildcard": cnf(alt="DNS.1 = *.example.org"),
    "punycode": cnf(alt="DNS.1 = xn--bcher-kva.example"),
    "usages": cnf(ext="keyUsage = critical, digitalSignature , keyAgreement\nextendedKeyUsage=serverAuth,clientAuth"),
    "all that is put in by itself": cnf(ext="subjectKeyIdentifier = hash\nnsCertType = server\nnsComment = 'x'"),
    "no CA, in all words": cnf(ext="basicConstraints = critical, CA : no"),
    "what is of the key only": cnf(
        req="default_bits = 4096\ndefault_md = sha512\nstring_mask = utf8only\ndefault_keyfile=k"
    ),
    "another section's CA": cnf(
        req="x509_extensions = v3_ca", alt="DNS.1 = a.example\n[v3_ca]\nbasicConstraints = CA:TRUE"
    ),
    "a certificate's extensions": cnf(named="x509_extensions"),
    "a request's attributes": cnf(req="attributes = at", alt="DNS.1 = a.example\n[at]\nunstructuredName = x"),
    "names of sections for other programs": cnf(top="HOME = .\noid_section = oids\n[oids]\nmine = 1.2.3.4"),
}
"""Both take it, and it means the same to both."""

REFUSED = {
    "no equal sign": (cnf(alt="DNS.1 = a.example\nDNS.2 b.example"), "DNS.2"),
    "two words": (cnf(alt="DNS 1 = a.example"), "DNS 1"),
    "letters that no name has": (cnf(dn="Straße = x\nCN = a"), "Stra"),
    "a colon in a name": (cnf(dn="0:O = x"), "0:O"),
    "a header that is open": (cnf(dn="CN = a\n[other"), "[other"),
    "= in a header": (cnf(dn="CN = a\n[a=b]"), "[a=b"),
    "a variable that is not set": (cnf(dn="O = $nothing"), "$nothing"),
    "one that is set below": (cnf(dn="O = ${alt_names::DNS.1}"), "DNS.1}"),
    "a dollar alone": (cnf(dn="O = a $ b"), "a $ b"),
    "a brace that is open": (cnf(top="host = a", dn="O = ${host"), "${host"),
    "the wrong brace": (cnf(top="host = a", dn="O = ${host)"), "${host)"),
    "the environment": (cnf(dn="O = $ENV::NOTHING"), "ENV"),
    "Latin-1": (cnf(dn="O = Bücher").decode().encode("latin-1"), "O = "),
    "UTF-16": (cnf().decode().encode("utf-16"), ""),
    "a NUL": (cnf(dn="O = a\0b"), "O = "),
    "too long by variables": (cnf(top=f"a = {'x' * 30000}\nb = $a$a$a"), "b = "),
    "no such subject": (cnf().replace(b"distinguished_name = dn", b"distinguished_name = gone"), "gone"),
    "no such extensions": (cnf().replace(b"= ext", b"= gone"), "gone"),
    "no such names": (cnf().replace(b"@alt_names", b"@gone"), "gone"),
    "an attribute that nobody knows": (cnf(dn="CN = a\ncolour = tea"), "tea"),
    "questions only": (cnf(dn="CN = Your name?", prompt=""), "Your name"),
    "a country of three letters": (cnf(dn="C = DEU"), "DEU"),
    "65 characters": (cnf(dn=f"O = {'x' * 65}"), "xxx"),
    "an address that is none": (cnf(alt="IP.1 = 300.1.1.1"), "300"),
    "an address with a zone": (cnf(alt="IP.1 = fe80::1%eth0"), "eth0"),
    "a network": (cnf(alt="IP.1 = 10.0.0.0/8"), "/8"),
    "a name for an address": (cnf(alt="IP.1 = a.example"), "IP.1"),
    "a kind that nobody knows": (cnf(alt="HOST.1 = a.example"), "HOST"),
    "a section among names": (cnf(ext="subjectAltName = DNS:a.example, @alt_names"), "DNS:a.example, @"),
    "a comma at the end": (cnf(ext="subjectAltName = DNS:a.example,"), "example,"),
    "a usage that nobody knows": (cnf(ext="keyUsage = digitalSignature, nonsense"), "nonsense"),
    "a usage that is empty": (cnf(ext="keyUsage = digitalSignature,,keyAgreement"), ",,"),
    "critical at the end": (cnf(ext="keyUsage = digitalSignature, critical"), "critical"),
    "critical alone": (cnf(ext="keyUsage = critical"), "critical"),
    "an extended usage that nobody knows": (cnf(ext="extendedKeyUsage = serverAuth, nonsense"), "nonsense"),
    "an extension that nobody knows": (cnf(ext="foo = bar"), "foo"),
    "an OID without a form": (cnf(ext="1.2.3.4 = bar"), "1.2.3.4"),
    "a CA's word that is none": (cnf(ext="basicConstraints = CA:maybe"), "maybe"),
}
"""Neither takes it, and we say so in the line that holds the second text. (OpenSSL names one fault a run, and a line
only for what is no `name = value`.)"""

STRICTER = {
    "an address as a name": (cnf(alt="DNS.1 = 192.168.1.10"), "DNS.1", "no client takes it for the address"),
    "a name that is none": (cnf(alt="DNS.1 = https://a.example"), "https", "no client can ask for it"),
    "a name of other letters": (cnf(alt="DNS.1 = bücher.example"), "cher", "an IA5String holds none (RFC 5280)"),
    "an empty name": (cnf(alt="DNS.1 ="), "DNS.1", "no client can ask for it"),
    "the same name twice": (cnf(alt="DNS.1 = a.example\nDNS.1 = b.example"), "b.example", "OpenSSL drops the first"),
    "a quote that is open": (cnf(dn="O = Joe's Pub"), "Joe", "OpenSSL drops the quote, and takes comments in"),
    "text behind a header": (cnf(alt="DNS.1 = a.example\n[x] y = z"), "[x]", "OpenSSL drops it"),
    "a comment that goes on": (cnf(alt="DNS.1=a.example # C:\\\nDNS.2=b.example"), "C:", "OpenSSL drops the next line"),
    "a file that is missing": (cnf(dn="CN = a\n.include /nothing"), "/nothing", "OpenSSL goes on without"),
    "another file": (cnf(dn="CN = a\n.include = /dev/null"), "/dev/null", "it is not watched, and may be a pipe"),
    "another grammar": (cnf(dn="CN = a\n.pragma = dollarid:on"), "pragma", "nobody uses it"),
    "a CA": (cnf(ext="basicConstraints = CA:TRUE"), "CA:TRUE", "a server certificate is none"),
    "a CA in other words": (cnf(ext="basicConstraints = CA:yes"), "CA:yes", "the same"),
    "no digitalSignature": (cnf(ext="keyUsage = keyEncipherment"), "keyUsage", "no client goes on (RFC 8446)"),
    "no serverAuth": (cnf(ext="extendedKeyUsage = clientAuth"), "clientAuth", "no client takes it"),
    "keyCertSign": (cnf(ext="keyUsage = digitalSignature, keyCertSign"), "keyCertSign", "for CAs only"),
    "an extended usage of others": (cnf(ext="extendedKeyUsage = serverAuth, 1.2.3.4"), "1.2.3.4", "not issued here"),
    "mail": (cnf(alt="DNS.1 = a.example\nemail.1 = a@b.example"), "email", "not issued here"),
    "an URI": (cnf(alt="DNS.1 = a.example\nURI.1 = https://a.example"), "URI", "not issued here"),
    "otherName": (cnf(alt="DNS.1=a.example\notherName.1 = 1.2.3.4;UTF8:x"), "otherName", "not issued here"),
    "dirName": (cnf(alt="DNS.1=a.example\ndirName.1 = dn"), "dirName", "not issued here"),
    "RID": (cnf(alt="DNS.1=a.example\nRID.1 = 1.2.3.4"), "RID", "not issued here"),
    "an extension by its OID": (cnf(ext="1.2.3.4 = DER:05:00"), "1.2.3.4", "not issued here"),
    "a must-staple": (cnf(ext="tlsfeature = status_request"), "tlsfeature", "not issued here"),
    "an attribute of others": (cnf(dn="CN = a\nDC = example"), "DC", "not issued here"),
    "several attributes in one": (cnf(dn="O = a\n+OU = b"), "+OU", "not issued here"),
    "a country in small letters": (cnf(dn="C = de"), "C = de", "ISO 3166-1"),
    "the environment": (cnf(dn="O = $ENV::SET"), "ENV", "it is not the same whenever a certificate is issued"),
    "small RSA keys": (cnf(req="default_bits = 512"), "512", "no client takes them"),
}
"""OpenSSL takes it, we don't: what no client would take, and what OpenSSL leaves out or changes in silence."""

LENIENT = {
    "no subject": (
        b"[req]\n[alt_names]\nDNS.1 = a.example\n",
        "names are all that clients look at (RFC 5280, 4.1.2.6)",
    ),
    "an empty attribute": (cnf(dn="O =\nCN = a.example"), "as if the line were not there"),
    "a proposal without its question": (cnf(dn="O_default = a\nCN = ?\nCN_default = b", prompt=""), "nobody is asked"),
    "names that nothing names": (
        cnf(ext="keyUsage = digitalSignature").replace(b"subjectAltName = @alt_names\n", b""),
        "[alt_names] can be meant for nothing else",
    ),  # fmt: skip
}
"""OpenSSL refuses it, or makes a request that no client would take; we take it."""


@pytest.mark.promise("gencert")
@pytest.mark.parametrize("case", SAME)
def test_what_both_take_is_the_same(case: str, tmp_path: Path) -> None:
    ours, theirs = by_us(SAME[case]), by_openssl(SAME[case], tmp_path)
    assert agree(ours, theirs), (ours, theirs)


@pytest.mark.parametrize("case", REFUSED)
def test_what_openssl_refuses_has_a_line(case: str, tmp_path: Path) -> None:
    data, place = REFUSED[case]
    assert isinstance(by_openssl(data, tmp_path), str)
    told(data, place)


@pytest.mark.parametrize("case", STRICTER)
def test_what_openssl_takes_and_nobody_else_has_a_line(case: str, tmp_path: Path) -> None:
    data, place, why = STRICTER[case]
    assert why and isinstance(by_openssl(data, tmp_path), Asked)
    told(data, place)


@pytest.mark.parametrize("case", LENIENT)
def test_what_we_take_and_openssl_does_not(case: str, tmp_path: Path) -> None:
    data, why = LENIENT[case]
    ours, theirs = by_us(data), by_openssl(data, tmp_path)
    assert why and isinstance(ours, Asked) and ours.names == {"a.example"} and not agree(ours, theirs)


def told(data: bytes, place: str) -> None:
    problems = by_us(data)
    assert not isinstance(problems, Asked), problems
    for problem in problems:
        assert problem.what and problem.hint, problem
    lines = data.split(b"\n")
    numbers = [int(problem.where.removeprefix("f:")) for problem in problems]
    assert any(place.encode() in lines[number - 1] for number in numbers), problems


LETTERS = [
    "$host",
    "${dn::CN}",
    "$(host)",
    "$x",
    "::",
    "\\\n",
    "\\$",
    "\\n",
    "\r\n",
    "@alt_names",
    *"a*=[]:,. \t#'\"`\\\nü",
]
NAME = ["a", "b.example", "$host", "${dn::CN}", "$(host)", "\\\n", '"', "#", " ", ".", "\nDNS.7 = c", "\\b", "'c'", "$"]


def text(words: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=6).map("".join)


def few(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip


@few(500)
@given(
    dn=text(LETTERS),
    alt=text(NAME),
    ext=st.sampled_from(["", "", "keyUsage = ", "subjectAltName = DNS:"]),
    more=text(NAME),
)
def test_whatever_we_take_means_the_same_to_openssl(tmp_path: Path, dn: str, alt: str, ext: str, more: str) -> None:
    names = f"DNS.1 = a.example\nDNS.2 = x{alt}"
    data = cnf(top="host = h", dn=f"O = x{dn}\nCN = a.example", ext=ext and ext + more, alt=names)
    ours = by_us(data)
    if isinstance(ours, Asked):
        theirs = by_openssl(data, tmp_path)
        assert agree(ours, theirs), (data, ours, theirs)
