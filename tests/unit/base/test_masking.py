"""What a program was run with is shown without what looks like a secret."""

from __future__ import annotations

import pytest

from secreg_host.base import masking


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (["nginx", "-t", "-c", "/a b/nginx.conf"], "nginx -t -c '/a b/nginx.conf'"),
        (["curl", "https://me:pa:ss@[::1]:443/x"], "curl 'https://me:xxxxx@[::1]:443/x'"),
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
