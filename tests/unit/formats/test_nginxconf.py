"""nginx.conf: read with its includes, made relative, its addresses known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.base.errors import BadInput
from secreg_host.formats import listening, nginxconf, nginxsyntax
from secreg_host.formats.listening import Listen
from secreg_host.formats.nginxconf import Bundle
from secreg_host.wanted import plainhttp

CONF = Path("/etc/secure-registry/nginx.conf")
NEEDED = "include secure-registry/main.conf;\nhttp {\n include secure-registry/http.conf;\n"
SERVER = " server {\n  include secure-registry/registry.conf;\n  listen 443 ssl;\n"


def bundle(text: str, **others: str) -> Bundle:
    files = {CONF.parent / name.replace("__", "/").replace("_", "."): data.encode() for name, data in others.items()}
    return nginxconf.bundle(CONF, text.encode(), files.get)


def problem(text: str, **others: str) -> str:
    with pytest.raises(BadInput) as caught:
        bundle(text, **others)
    return str(caught.value.problems[0])


def test_files_below_our_directory_are_copied_and_become_relative() -> None:
    found = bundle(
        NEEDED + SERVER + "  ssl_certificate /etc/secure-registry/docker-registry.crt;\n"
        "  ssl_dhparam '/etc/secure-registry/dh.pem';\n  include /etc/nginx/mime.types;\n  include more.conf;\n }\n}\n",
        dh_pem="DH",
        more_conf="include deep__x.conf;".replace("__", "/"),
        deep__x_conf="gzip off;",
    )
    text = found.files["nginx.conf"].decode()
    assert 'ssl_certificate "docker-registry.crt";' in text
    assert 'ssl_dhparam "dh.pem";' in text
    assert "/etc/nginx/mime.types" in text
    assert set(found.files) == {"nginx.conf", "dh.pem", "more.conf", "deep/x.conf"}
    assert found.own_pair
    assert [str(path) for path in found.sources][1:] == [
        f"/etc/secure-registry/{name}" for name in ("dh.pem", "more.conf", "deep/x.conf")
    ]


@pytest.mark.parametrize(
    "word", ["ca.crt", "./ca.crt", "/etc/secure-registry/ca.crt", "/etc/secure-registry//./ca.crt"]
)
def test_a_file_has_one_name_however_it_is_written(word: str) -> None:
    found = bundle(NEEDED + SERVER + f"  ssl_client_certificate {word};\n ssl_crl ca.crt; }} }}", ca_crt="CA")
    assert found.files["ca.crt"] == b"CA" and set(found.files) == {"nginx.conf", "ca.crt"}
    assert set(found.origin.values()) == {CONF, CONF.parent / "ca.crt"}


def test_what_is_included_is_no_plain_copy() -> None:
    """A copy would be read as it stands, and what it says would pass unseen."""
    both = ("auth_basic_user_file more.conf;\n", "include more.conf;\n")
    for first, second in (both, reversed(both)):
        assert f"{CONF}:8: more.conf is " in problem(NEEDED + SERVER + first + second + "}}", more_conf="gzip off;")


@pytest.mark.parametrize("name", [".htpasswd", "./.htpasswd", "/etc/secure-registry/.htpasswd", "x/../.htpasswd"])
def test_users_of_the_registry_are_copied_nowhere(name: str) -> None:
    """A copy would serve as long as another file is broken: who was removed would stay in."""
    text = NEEDED + f"\nserver {{ location / {{\n auth_basic_user_file {name};\n}} }} }}"
    assert problem(text).startswith(f"{CONF}:6: .htpasswd of the registry would be copied")


def test_lines_keep_their_numbers_and_what_the_unit_owns_is_dropped() -> None:
    found = bundle("user www-data;\ndaemon on;\n" + NEEDED + SERVER + "}}\n")
    assert found.files["nginx.conf"].decode().splitlines()[2] == "include secure-registry/main.conf;"
    assert b"daemon" not in found.files["nginx.conf"]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a b\nc }", ":1", "no ';'"),
        ("a { b;", ":1", "never closed"),
        ("a;\n}", ":2", "too many"),
        ("a 'x;\n", ":1", "not closed"),
        ("a;\n;", ":2", "unexpected"),
        (NEEDED + SERVER + "include gone.conf; }}", ":7", "gone.conf does not exist"),
        (NEEDED + SERVER + "include ../x.conf; }}", ":7", "leaves"),
        (NEEDED + SERVER + "ssl_crl ../x.pem; }}", ":7", "leaves"),
        (NEEDED + SERVER + "ssl_crl /etc/secure-registry/x/../ca.crt; }}", ":7", "leaves"),
        (NEEDED + SERVER + "include generation.conf; }}", ":7", "a file of secure-registry's own has this name"),
        (NEEDED + SERVER + "ssl_crl ./generation.conf; }}", ":7", "a file of secure-registry's own has this name"),
        (NEEDED + SERVER + "include docker-registry.crt; }}", ":7", "a file of secure-registry's own has this name"),
        (NEEDED + SERVER + "ssl_crl secure-registry; }}", ":7", "a file of secure-registry's own has this name"),
        (NEEDED + SERVER + "ssl_crl secure-registry/ca.crt; }}", ":7", "a file of secure-registry's own has this name"),
        (
            NEEDED + SERVER + "ssl_crl nginx.conf; }}",
            ":7",
            "nginx.conf is included elsewhere, and can't be read as data",
        ),
        (NEEDED + "}", "", "registry.conf;' is missing"),
        (NEEDED + SERVER.replace(" ssl", "") + "}}", "", "speak TLS"),
    ],
)
def test_errors_name_the_line(text: str, place: str, what: str) -> None:
    found = problem(text)
    assert found.startswith(f"{CONF}{place}: ") and what in found


@pytest.mark.parametrize(
    ("args", "listen"),
    [
        ("443 ssl", Listen("", 443)),
        ("*:443 ssl", Listen("", 443)),
        ("0.0.0.0:443 ssl", Listen("", 443)),
        ("192.0.2.1:8443 ssl http2", Listen("192.0.2.1", 8443)),
        ("[::]:443 ssl ipv6only=on", Listen("::", 443)),
        ("[2001:db8::1] ssl", Listen("2001:db8::1", 80)),
        ("localhost:80", Listen("localhost", 80, tls=False)),
        ("443 ssl proxy_protocol", Listen("", 443, proxy_protocol=True)),
        ("unix:/run/x.sock ssl", None),
        ("443 quic reuseport", None),
        ("53 udp", None),
        ("8000-8010", None),
        ("192.0.2.1:8000-8010", None),
        ("[garbage]:1", None),
    ],
)
def test_listen(args: str, listen: Listen | None) -> None:
    assert listening.listen_of(args.split()) == listen


PLAIN = "  include secure-registry/registry.conf;\n"


@pytest.mark.parametrize(
    ("server", "lines"),
    [
        (f"listen 80;\n  listen 443 ssl;\n{PLAIN}", [4]),
        (f"listen 443 ssl;\n  listen [::]:80;\n  listen 192.0.2.1:8080;\n{PLAIN}", [5, 6]),
        (f"server_name x;\n{PLAIN}", [4]),  # nginx takes port 80
        (f"include more.conf;\n{PLAIN}", ["more.conf:2"]),
        (f"listen 80;\n  location / {{ }}\n{PLAIN}", [4]),
        (f"listen 443 ssl;\n{PLAIN}", []),
        (f"listen 443 quic;\n{PLAIN}", []),
        (f"listen unix:/run/x.sock;\n  listen 127.0.0.1:80;\n  listen [::1]:80;\n  listen localhost:81;\n{PLAIN}", []),
        (f"listen 80 proxy_protocol;\n{PLAIN}", []),
        (f"ssl on;\n  listen 443;\n{PLAIN}", []),
        (f"listen 80;\n  listen 443 ssl;\n  if ($scheme = http) {{ return 301 https://x$request_uri; }}\n{PLAIN}", []),
        ("listen 80;\n  return 301 https://$host$request_uri;\n", []),
    ],
)
def test_passwords_without_tls_are_told_with_their_line(server: str, lines: list[int | str]) -> None:
    both = f" server {{ {server} }}\n{SERVER} }}}}\n"
    found = plainhttp.warnings(bundle(NEEDED + both, more_conf="\nlisten 80;\n").servers)
    wanted = [f"{CONF}:{line}" if isinstance(line, int) else f"{CONF.parent}/{line}" for line in lines]
    assert [problem.where for problem in found] == wanted
    assert all("return 301" in problem.hint for problem in found)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        nginxsyntax.parse(text, "f")
    except BadInput as error:
        assert error.problems[0].where.startswith("f:")


@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_quoted_words_read_back(words: list[str]) -> None:
    text = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words) + ";"
    assert [word.text for word in nginxsyntax.parse(text, "f")[0].words] == words
