"""What a program was run with, and what messages quote, is shown without what looks like a secret."""

from __future__ import annotations

import pytest

from secreg_host.base import masking
from secreg_host.base.errors import Problem, SecregError, bad_input

URLS = {
    "https://me:hunter2@host/x": "https://xxxxx@host/x",
    "cannot read /etc/https:/me:hunter2@host/x: no": "cannot read /etc/https:/xxxxx@host/x: no",
    "'https://hunter2@host/' and more": "'https://xxxxx@host/' and more",
    "//me:hunter2@host/x": "//xxxxx@host/x",
    "https://:hunter2@host:3": "https://xxxxx@host:3",
    "s3+https://me:hun/ter2@x@host/x": "s3+https://xxxxx@host/x",
    "redis://me:hunter2@[::1]:6379/0, ftp://me:hunter2@b": "redis://xxxxx@[::1]:6379/0, ftp://xxxxx@b",
    "https://hunter2@a,https://me@b": "https://xxxxx@b",
    "https://host/x?a=b&sig=hunter2&access_token=hunter2 y": "https://host/x?a=b&sig=xxxxx&access_token=xxxxx y",
}
PLAIN = (
    "https://host:5000/v2/ of user@host",
    "http://[::1]:443: no answer",
    "/srv/a@b:c/x:3",
    "systemctl status secure-registry-registry@a.service",
    "docker://host/image@sha256:abc",
    "chgrp -hR x '/srv' && chmod -R g+rX '/srv'",
)


@pytest.mark.promise("passwords-in-urls")
@pytest.mark.parametrize("text", [*URLS, *PLAIN])
def test_what_is_secret_of_a_url_is_in_no_message(text: str) -> None:
    expected = URLS.get(text, text)
    assert masking.urls(text) == masking.urls(expected) == expected
    problem, error = Problem(text, text, text), SecregError(text, text)
    assert {problem.where, problem.what, problem.hint, error.message, error.hint, str(error)} == {expected}
    assert str(error.problems[0]) == f"{expected}\n  -> {expected}"
    assert str(bad_input(text, "is empty", "fill it")) == f"{expected}: is empty\n  -> fill it"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["nginx", "-t", "-c", "/a b/nginx.conf"], "nginx -t -c '/a b/nginx.conf'"),
        (["curl", "https://me:pa:ss@[::1]:443/x"], "curl 'https://xxxxx@[::1]:443/x'"),
        (["curl", "http://127.0.0.1:443/x"], "curl http://127.0.0.1:443/x"),
        (["systemd-run", "--setenv=SECREG_WHERE=a\nb", "x"], "systemd-run --setenv=SECREG_WHERE x"),
        (["x", "PASSWORD=one two", "http-secret: y"], "x PASSWORD=xxxxx 'http-secret: xxxxx'"),
        (["x", "--password", "--hunter2", "-v"], "x --password xxxxx -v"),
        (["x", "--registry-token=abc", "/etc/.htpasswd"], "x --registry-token=xxxxx /etc/.htpasswd"),
        (["x", "alice:$6$salt$hash", "$2y$05$abc", "$5"], "x alice:xxxxx xxxxx '$5'"),
    ],
)
def test_what_looks_like_a_secret_is_masked(argv: list[str], shown: str) -> None:
    assert masking.shown(argv) == shown


def test_masking_takes_no_longer_than_in_proportion() -> None:
    """Who says it may be a registry that was taken over."""
    for piece in ("a:/b:", "@//", "//@", "?pass", "&key", "a:/", "https://a@"):
        text = piece * 100_000
        assert len(masking.urls(text)) <= len(text) + len(masking.MASK)
