"""Lines of nginx.conf that try to get past the password check, as careless and as hostile administrators write them.

In a text, <a> <b> <c> are addresses to listen on (<a> is the first server's), <registry> the registry's socket, <run>
<lib> <storage> our directories, <above> the one that holds them, <link> a link to the images, <scratch> a directory
that anybody may write to, <page> a file in it, <bits> those in the names of what lies behind the check, <blob> the
address of a blob, <data> the place of its bytes below the tree of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A configuration: where its text stands (main, http, server, or around the servers: other), whether it must be
    refused, whether it would be open if it weren't, addresses to ask for besides the usual ones, and whether it takes
    the images from everybody."""

    level: str
    text: str
    refused: bool = False
    leaks: bool = False
    asks: tuple[str, ...] = ()
    blind: bool = False

    def __str__(self) -> str:
        return f"{self.level}: {self.text}"


def server(text: str, plain: bool = False) -> str:
    """A server with a name of its own on the first server's address, and on another port."""
    return f"server {{ listen <a> ssl; listen <b>{'' if plain else ' ssl'}; server_name other.example; {text} }}"


def elsewhere(text: str, refused: bool = False, leaks: bool = False, asks: tuple[str, ...] = ()) -> Case:
    """`text` in a server of its own."""
    return Case("other", server(text), refused, leaks, asks)


def _named() -> Iterator[Case]:
    """Our names, written by somebody who guesses them, or who has read our files."""
    for name in ("secreg_registry", "secreg_<bits>_registry", "secreg_<bits>_blob", "secreg_<bits>_manifest"):
        for text in (
            f"try_files /none @{name};",
            f"set $to @{name}; try_files /none $to;",
            f"error_page 404 = @{name}; return 404;",
            f"error_page 418 = @{name}; if ($request_method = GET) {{ return 418; }}",
        ):
            yield Case("server", f"location ~ ^/v2/. {{ {text} }}", refused=True)
    for text in (
        "location ~ ^/v2/. { try_files /none $secreg_answer; }",
        "location ~ ^/v2/. { try_files /none ${SECREG_ANSWER}; }",
        "location /w/ { rewrite ^ /_secreg/<bits>/link last; }",
        "location /w/ { rewrite ^ /_secreg/<bits>/auth last; }",
        "location /w/ { error_page 404 /_secreg/link; return 404; }",
        "location /w/ { add_before_body /_secreg/<bits>/link; alias <scratch>/; }",
        "location ~ ^/v2/. { limit_req zone=secreg_wrong; return 404; }",
        "location ~ ^/v2/. { proxy_cache secreg_auth; return 404; }",
        "include secure-registry/manifest.js;",
    ):
        yield Case("server", text, refused=True, asks=("/w/", "/w/page"))
    manifest = "location ~ ^/v2/.*/manifests { js_content secreg_<bits>.manifest; }"
    yield Case("server", manifest, refused=True)
    yield Case("server", f"set $secreg_<bits>_passed <bits>; {manifest}", refused=True, leaks=True)
    yield Case("server", "location ~ ^/v2/. { js_content secreg.manifest; }", blind=True)
    for name in ("secreg_<bits>_registry", "SECREG_<bits>_Registry"):
        yield Case("server", f"location /v2/_catalog {{ proxy_pass http://{name}; }}", refused=True, leaks=True)
    for name in ("secreg_auth", "secreg_gate"):
        yield elsewhere(f"location / {{ proxy_pass http://{name}; }}", refused=True)
    for text in (
        "map $uri $secreg_answer { default @secreg_<bits>_registry; }",
        "map $uri $secreg_client { default x; }",
        "js_import mine from secure-registry/manifest.js;",
        "js_import mine from ./x/../secure-registry/manifest.js;",
    ):
        yield Case("http", text, refused=True)


def _addresses() -> Iterator[Case]:
    """The registry's socket, however its address is written."""
    for address in (
        "http://unix:<registry>", "http://unix:<registry>:/", "'http://unix:<registry>'", "http://unix:/<registry>",
        "http://unix:<run>/./registry-a/../registry-a/registry.sock", "http://unix:/proc/self/root<registry>",
    ):  # fmt: skip
        yield elsewhere(f"location / {{ proxy_pass {address}; }}", refused=True, leaks=True)
    upstream = "upstream mine { server unix:<registry>; } "
    yield Case("other", upstream + server("location / { proxy_pass http://mine; }"), refused=True, leaks=True)
    for text, asks in (
        ("proxy_pass http://$arg_a;", ("/v2/_catalog?a=secreg_<bits>_registry", "/v2/_catalog?a=unix:<registry>:")),
        ("proxy_pass $arg_a;", ("/?a=http://secreg_<bits>_registry/v2/_catalog",)),
        ("proxy_pass http://${arg_a}_registry/v2/_catalog;", ("/?a=secreg_<bits>",)),
        ("proxy_pass http://unix:<run>/$arg_a;", ("/v2/_catalog?a=registry-a/registry.sock:",)),
        ("set $a secreg; set $b _<bits>_registry; proxy_pass http://$a$b;", ()),
    ):
        yield elsewhere(f"location / {{ {text} }}", refused=True, leaks=True, asks=asks)
    for kind in ("fastcgi", "uwsgi", "scgi", "memcached"):
        key = "set $memcached_key x; " if kind == "memcached" else ""
        for to, refused in (("unix:<registry>", True), ("secreg_<bits>_registry", True), ("secreg_registry", False)):
            text = f"{key}{kind}_read_timeout 100ms; {kind}_pass {to};"
            yield elsewhere(f"location / {{ {text} }}", refused)
    yield Case("other", "server { listen unix:<run>/mine.sock; }", refused=True)
    yield Case("main", "stream { server { listen <b>; proxy_pass unix:<registry>; } }", refused=True)
    yield Case("main", "stream { server { listen <b>; proxy_pass $remote_addr; } }", refused=True)


def _files() -> Iterator[Case]:
    """Directories that hold the images, or lead to them."""
    tree = "docker/registry/v2<data>"
    for text, asks in (
        ("root /;", f"<storage>/{tree}"),
        ("root //;", f"<storage>/{tree}"),
        ("root <storage>;", f"/{tree}"),
        ("root <lib>/../secure-registry/storage;", f"/{tree}"),
        ("root <link>;", f"/{tree}"),
        ("root $arg_a;", "<data>?a=<storage>/docker/registry/v2"),
        ("root <lib>/${arg_a};", "<data>?a=storage/docker/registry/v2"),
        ("root <above>; autoindex on;", f"/var/lib/secure-registry/storage/{tree}"),
        ("root /proc/self/root;", f"<storage>/{tree}"),
        ("alias /;", f"<storage>/{tree}"),
        ("alias <storage>/docker/;", "/registry/v2<data>"),
    ):
        yield elsewhere(f"location / {{ {text} }}", refused=True, leaks=True, asks=(asks,))
    above = f"/f../var/lib/secure-registry/storage/{tree}"
    yield elsewhere("location /f { alias <above>/etc/; }", refused=True, leaks=True, asks=(above,))
    yield elsewhere("location /f { alias <lib>/stor; }", refused=True, leaks=True, asks=(f"/fage/{tree}",))
    regex = elsewhere("location ~ ^/f(.*)$ { alias <lib>$1; }", True, True, (f"/f/storage/{tree}",))
    yield regex
    for text in (
        "location ~ ^/f(.*)$ { alias <above>/etc/$1; }",
        "location / { root <above>/etc; rewrite ^/f(.*)$ /$1 break; }",
        "location / { root <above>/etc; try_files /$arg_a =404; }",
        "location / { root <above>/etc; location /f { error_page 404 = $arg_a; return 404; } }",
    ):
        yield elsewhere(text, refused=True, leaks=True, asks=(above, f"/f?a=/..{above.removeprefix('/f..')}"))
    yield elsewhere("location / { root .; }", refused=True, leaks=True, asks=("/docker-registry.key",))
    for text, refused, asks in (
        ("location /f { alias html/; }", True, "/f../docker-registry.key"),
        ("location / { root html; }", False, "/docker-registry.key"),
        ("location / { root /usr/share; autoindex on; }", False, "/../../etc/passwd"),
        ("location /f/ { alias /usr/share/; }", False, "/f/../../../etc/passwd"),
    ):
        yield elsewhere(text, refused, asks=(asks,))
    yield Case("http", "proxy_cache_path <run>/front/mine keys_zone=mine:1m;", refused=True)


KEPT = "proxy_cache_path <scratch>/kept keys_zone=kept:1m; "
KEEP = "proxy_cache kept; proxy_cache_valid any 1h; "


def _guarded() -> Iterator[Case]:
    """The upstream that an administrator may name, and what may be said beside it."""
    passes = "proxy_pass http://secreg_registry; "
    for text in (
        "", "auth_basic off;", "auth_request off;", "satisfy any; allow all;", "proxy_set_header Host $http_host;",
        "proxy_intercept_errors on; error_page 401 =200 /v2/_catalog;", "proxy_http_version 1.0;",
        "proxy_method GET;", "proxy_buffering off;", "mirror /v2/_catalog;",
        KEEP, f"{KEEP} proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;",
    ):  # fmt: skip
        yield Case("other", KEPT + server(f"location / {{ {passes}{text} }}"))
    yield Case("other", server(f"location / {{ {passes} }}", plain=True))
    yield Case("other", f"server {{ listen <b>; server_name plain.example; location / {{ {passes} }} }}")
    yield Case("server", f"location /v2/_catalog {{ {passes} }}")
    inner = "location /w/v2/ { proxy_pass http://secreg_registry/v2/; }"
    yield Case("server", f"location /w/ {{ {inner} }}", asks=("/w/v2/_catalog",))
    yield elsewhere("location / { proxy_pass http://secreg_registry/v2/; }", asks=("/_catalog",))
    yield elsewhere(f"location / {{ if ($arg_a) {{ {passes} }} }}", asks=("/v2/_catalog?a=1",))
    ignores = f"{KEEP} proxy_ignore_headers X-Accel-Expires Cache-Control Vary;"
    yield Case("other", KEPT + server(f"location / {{ {passes}{ignores} }}"), refused=True, leaks=True)
    yield elsewhere(f"location / {{ {passes} root <scratch>; proxy_store on; }}", refused=True)


def _flags() -> Iterator[Case]:
    """What changes how our own locations answer."""
    for text in (
        "satisfy any; allow all;", "auth_basic off;", "auth_request off;", "error_page 401 =200 /v1/_ping;",
        "error_page 401 =204 /v1/_ping;", "proxy_intercept_errors on; error_page 401 403 =200 /v1/_ping;",
        "recursive_error_pages on; error_page 401 403 404 =200 /v1/_ping;", KEEP, f"{KEEP} proxy_cache_key x;",
        "ssi on;", "proxy_hide_header X-Secreg-Passed;", "add_header X-Secreg-Passed x always;", "root /nowhere;",
        "open_file_cache max=100; open_file_cache_valid 1h;", "proxy_buffering off;",
    ):  # fmt: skip
        for level in ("http", "server"):
            yield Case(level, text)
    for text in (
        'if ($uri ~ "^/_") { return 204; }', 'if ($uri ~ "^/_") { return 200 x; }',
        'if ($uri ~ "auth$") { return 204; }',
        "rewrite ^/_.*auth$ /v1/_ping last;", "rewrite ^/w/(.*) /v2/$1 last;", "rewrite ^/w/(.*) /v2/$1;",
    ):  # fmt: skip
        yield Case("server", text, asks=("/w/_catalog",), blind="/_" in text or "auth$" in text)
    for text in (
        "rewrite ^/w/(.*) /v2/$1 last;", "error_page 404 /v2/_catalog; return 404;", "try_files /none /v2/_catalog;",
        "error_page 404 = $arg_a; return 404;", "try_files /none $arg_a;", "return 301 /v2/_catalog;",
        "addition_types *; add_before_body /v2/_catalog; alias <scratch>/;",
        "addition_types *; add_after_body <blob>; alias <scratch>/;", "ssi on; ssi_types *; alias <scratch>/;",
        "auth_request /v2/_catalog; alias <scratch>/;", "mirror /v2/_catalog; alias <scratch>/;",
        "post_action /v2/_catalog; alias <scratch>/;", "dav_methods PUT DELETE; root <scratch>;",
        "limit_except GET { deny all; } return 404;", "proxy_pass http://<c>;", "return 404;",
    ):  # fmt: skip
        targets = ("/v2/_catalog", "@secreg_registry", "@secreg_<bits>_registry", "/_secreg/<bits>/link")
        asks = ("/w/page", "/w/_catalog", *(f"/w/?a={target}" for target in targets))
        yield Case("server", f"location /w/ {{ {text} }}", refused="$arg_a" in text, asks=asks)


def _ports() -> Iterator[Case]:
    """Other ports, by TLS and in clear."""
    for text in (
        "listen <b>; return 301 https://$host$request_uri;",
        "listen <b>; server_name x.example ~^c(.+)$; location / { return 404; }",
        "listen <b> ssl; include secure-registry/registry.conf;",
        "listen <b> default_server; listen <c> ssl; include secure-registry/registry.conf;",
        "listen <b>; location = /status { stub_status; } location / { root <scratch>; }",
    ):
        yield Case("other", f"server {{ {text} }}")


CASES = [*_named(), *_addresses(), *_files(), *_guarded(), *_flags(), *_ports()]
