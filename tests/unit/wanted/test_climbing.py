"""Where a path leads that nginx makes of what a client sends; that nginx does so is asked by tests/real."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secreg_host.formats import nginxsyntax
from secreg_host.wanted import climbing
from secreg_host.wanted.climbing import Edges


@pytest.mark.parametrize(
    ("pattern", "edges"),
    [
        ("^/f/(.*)$", (False, False)),
        ("^/f/(.*)", (False, False)),
        ("^(.*)$", (False, False)),
        ("^/f(/.*)?$", (False, False)),
        (r"^/f/(.+\.html)$", (False, False)),
        ("^/f/([^/]+)/x", (False, False)),
        ("^/f/(?<n>.*)$", (False, False)),
        ("^/f(.*)$", (True, False)),
        ("^/f(?P<n>.*)$", (True, False)),
        ("^/f(/.*|.*)$", (True, False)),
        ("^/(.)*$", (True, True)),
        ("^/f(/?.*)$", (True, False)),
        ("/f/(..)", (False, True)),
        (r"^/f/(.*)\.php$", (False, True)),
        ("^/f/(.*)/?x$", (False, True)),
        (r"^/f\/(.*)$", (False, False)),
        ("^/[(/](.*)$", (True, False)),
        ("^/[](/](.*)$", (True, False)),
        ("(", None),
        (r"\(x\)", None),
        ("(?:a)(?i)", None),
    ],
)
def test_where_a_group_begins_and_ends(pattern: str, edges: tuple[bool, bool] | None) -> None:
    found = climbing.groups(pattern)
    assert found.get("1") == (edges and Edges(*edges))
    assert ("n" in found) == ("<n>" in pattern)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("/srv/www/x", 0),
        ("/srv/$host$uri", 0),
        ("/srv/${host}/$uri/", 0),
        ("/srv/$arg_f", None),
        ("/srv/x$http_host", None),
        ("/srv/$request_uri", None),
        ("/srv/${inner}", 0),
        ("/srv/$begins", 1),
        ("/srv/x$begins", 0),
        ("/srv/.$begins", 1),
        ("$begins", 1),
        ("/srv/$ends", 1),
        ("/srv/${ends}x", 0),
        ("/srv/$ends/x", 1),
        ("/srv/$both/$both", 4),
        ("/srv/$1", None),
    ],
)
def test_levels(text: str, levels: int | None) -> None:
    captures = {"inner": Edges(False, False), "begins": Edges(True, False), "ends": Edges(False, True)}
    assert climbing.levels(text, captures | {"both": Edges(True, True)}) == levels


PIECES = ["/", "f", "(.*)", "([^/]+)", "(..)", "(.)", r"\.", "x", "(/.*)?", ".*", "(x|..)", "(.)*", "(/?..)+"]


SENT = st.lists(st.sampled_from(["f", "x", "..", ".", "/"]), max_size=8)
ALIAS = st.sampled_from(["/a/b/c/d/$1", "/a/b/c/d/$1/e", "/a/b/c/d/x$1", "/a/b/c/d/$1$2", "/a/b/c/d/$2/$1x"])


@given(st.lists(st.sampled_from(PIECES), max_size=6), st.booleans(), SENT, ALIAS)
def test_no_request_leads_higher(pieces: list[str], ends: bool, path: list[str], alias: str) -> None:
    """Whatever the expression and the request, which nginx has resolved."""
    pattern = f"^/{''.join(pieces)}{'$' if ends else ''}"
    told = climbing.levels(alias, climbing.groups(pattern))
    uri = os.path.normpath("/" + "".join(path).lstrip("/"))
    match = re.search(pattern, uri)
    if told is None or match is None:
        return
    sent = re.sub(r"\$(\d)", lambda one: match[int(one[1])] or "", alias)
    above = os.path.relpath(os.path.normpath(sent), "/a/b/c/d").split("/").count("..")
    assert above <= told, (pattern, uri, sent)


@pytest.mark.parametrize(
    "text",
    [
        "try_files $uri $uri/ /index.php?q=$request_uri =404;",
        "try_files /x @named;",
        "rewrite ^/w/(.*)$ /v2/$1 last;",
        "rewrite ^/old(.*)$ /new$1;",
        "rewrite ^ https://$http_host$request_uri permanent;",
        "rewrite ^/f(.*)$ /$1 redirect;",
        "error_page 404 https://example.org/$arg_x;",
        "error_page 404 = @named;",
        "index index.html index.$host;",
        "location ~ ^/f/(.*)$ { try_files /a/$1 =404; }",
    ],
)
def test_what_leads_nowhere_else(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "try_files $uri /$arg_f =404;",
        "try_files $request_uri =404;",
        "rewrite ^/f(.*)$ /$1 break;",
        "rewrite ^ /$arg_f last;",
        "error_page 404 = $arg_f;",
        "index ../$cookie_x;",
        "location ~ ^/f(.*)$ { try_files /$1 =404; }",
        "location ~* /f(.*)$ { try_files /$1 =404; }",
        "location ~^/f(.*)$ { try_files /$1 =404; }",
        "if ($arg_x ~ ^/(.*)$) { rewrite ^ /$1; }",
    ],
)
def test_what_leads_to_any_file(text: str) -> None:
    assert said(text) != []


def said(text: str) -> list[str]:
    found = nginxsyntax.nested(nginxsyntax.parse(text, "f"))
    return [one for directive, around in found if (one := climbing.problem(directive, around))]
