"""nginx itself with the maps of access.yml: 5,000 triples of a policy, a user and a request, judged by another model of
them; and requests whose address the registry might read in another way."""

from __future__ import annotations

import http.client
import random
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from secreg_host.base import quoting, templating
from secreg_host.base.paths import TEMPLATES
from secreg_host.formats.robots import Own
from secreg_host.generation import assemble, ownrights, rights
from secreg_host.wanted.access import deciding
from secreg_host.wanted.access.policy import Policy, Repository, Rule
from tests.unit.generation.test_ownrights import drawn
from tests.unit.generation.test_rights import SEGMENTS, USERS, generated, name

BITS = "0" * 32
CONF = """\
pid {root}/pid; error_log {root}/error.log warn; daemon off; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi; large_client_header_buffers 4 16k;
    map_hash_bucket_size {bucket}; keepalive_requests 100000;
    map $http_x_user $secreg_{bits}_user {{ default $http_x_user; }}
    map $http_x_probe $secreg_probe {{ default ""; }}
    map "" $secreg_way {{ default registry; }}
    include access.conf;
    server {{
        listen unix:{root}/sock;
        location / {{ return 200 "$secreg_{bits}_to|$secreg_{bits}_gives|$secreg_may|$secreg_mount|$secreg_sentence"; }}
    }}
}}
"""


class Link(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("nginx", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self.path))

    def said(self, method: str, address: str, user: str) -> list[str]:
        """Where it would be passed on to, whether it may, by which letters, what is mounted, and the refusal."""
        self.putrequest(method, address, skip_accept_encoding=True)
        if user:
            self.putheader("X-User", f"={user}=".encode())
        self.endheaders()
        answer = self.getresponse()
        body = answer.read().decode()
        assert answer.status in (200, 400), answer.status
        return body.split("|") if answer.status == 200 else ["400", "", "", "", ""]


@contextmanager
def front(policy: Policy | None, bucket: int = 64, own: Mapping[str, Own] | None = None) -> Iterator[Link]:
    """nginx with the maps of `policy`, and of robots with rights of their `own`."""
    with tempfile.TemporaryDirectory(prefix="sr-", dir="/tmp") as directory:
        root = Path(directory)
        maps = templating.render(
            TEMPLATES, "front/access.conf.j2", bits=quoting.Quoted(BITS), maps=rights.of(policy), tree=None,
            allowing=tuple(rights.allowing()), words=tuple(rights.words()), segment=quoting.Quoted(assemble._WORD),
            access="/run/access/x" if policy else None, users=root, sums=tuple(rights.sums()),
            levels=tuple(ownrights.LEVELS.items()),
            guests=False,
        )  # fmt: skip
        (root / "access.conf").write_bytes(maps)
        (root / ownrights.ROBOTS_CONF).write_bytes(ownrights.conf(own or {}, ["robot-old"]))
        (root / ownrights.GLOBS_CONF).write_bytes(ownrights.globs_conf(own or {}))
        (root / "nginx.conf").write_text(CONF.format(root=root, bits=BITS, bucket=bucket))
        process = subprocess.Popen(["nginx", "-p", str(root), "-c", str(root / "nginx.conf")], stderr=subprocess.PIPE)
        try:
            link = Link(root / "sock")
            while not (root / "pid").exists() or not (root / "pid").read_text():
                assert process.poll() is None, process.stderr and process.stderr.read()
            yield link
            link.close()
        finally:
            process.terminate()
            process.wait()
            assert not re.search("emerg|alert|crit", (root / "error.log").read_text())


def model(policy: Policy, user: str, repository: str) -> set[str]:
    """What zot's rules give, by another way than the program's: patterns are tried by recursion, users one by one."""
    about = [one for one in policy.repositories if any(_is(way, repository) for way in _ways(one.pattern))]
    longest = max((len(one.pattern) for one in about), default=0)
    one = next((one for one in about if len(one.pattern) == longest), None)
    if not user:
        return set(one.anonymous) if one else set()
    member = {group.name for group in policy.groups if user in group.users}
    rules = [*(one.policies if one else ()), policy.admin]
    given = {action for rule in rules if user in rule.users or member & {*rule.groups} for action in rule.actions}
    return given | (set(one.default | one.anonymous) if one else set())


def _ways(pattern: str) -> list[str]:
    if not (found := re.search(r"\{([^{}]*)\}", pattern)):
        return [pattern]
    around = pattern[: found.start()], pattern[found.end() :]
    return [way for choice in found[1].split(",") for way in _ways(around[0] + choice + around[1])]


def _is(pattern: str, text: str) -> bool:
    if pattern.endswith("/**") and _is(pattern[:-3], text):
        return True
    if pattern.startswith("**/") and _is(pattern[3:], text):
        return True
    if "/**/" in pattern and _is(pattern.replace("/**/", "/", 1), text):
        return True
    expression = "".join(
        ".+" if piece == "**" else "[^/]*" if piece == "*" else "[^/]" if piece == "?"
        else piece if piece.startswith("[") else re.escape(piece)
        for piece in re.findall(r"\*\*|\*|\?|\[[^]]*\]|.", pattern)
    )  # fmt: skip
    return re.fullmatch(expression, text) is not None


DIGEST = f"sha256:{'0a' * 32}"
ROUTES = {
    ("GET", "manifests/v1"): {"read"},
    ("GET", f"manifests/{DIGEST}"): {"read"},
    ("GET", f"blobs/{DIGEST}"): {"read"},
    ("GET", f"blobs/{quote(DIGEST, safe='')}"): {"read"},
    ("GET", "tags/list?n=5"): {"read"},
    ("GET", f"referrers/{DIGEST}"): {"read"},
    ("HEAD", "tags/list"): {"read"},
    ("HEAD", "manifests/v1"): {"read", "create", "update"},
    ("HEAD", f"blobs/{DIGEST}"): {"read", "create", "update"},
    ("POST", "blobs/uploads/"): {"create", "update"},
    ("POST", f"blobs/uploads/?mount={DIGEST}&from=a/b"): {"create", "update"},
    ("PATCH", "blobs/uploads/0-a?_state=x"): {"create", "update"},
    ("PUT", f"blobs/uploads/0-a?digest={DIGEST}"): {"create", "update"},
    ("GET", "blobs/uploads/0-a"): {"create", "update"},
    ("DELETE", "blobs/uploads/0-a"): {"create", "update"},
    ("PUT", "manifests/v1"): {"create", "update"},
    ("DELETE", "manifests/v1"): {"delete"},
    ("DELETE", f"blobs/{DIGEST}"): {"delete"},
}
"""What is asked, and of which rights one is needed for it."""


@pytest.mark.parametrize("bucket", [64, 512])
def test_generated_triples_are_decided_as_a_model_decides_them(bucket: int) -> None:
    draw, allowed = random.Random(bucket), 0
    routes = list(ROUTES)
    for _ in range(25):
        policy = generated(draw)
        with front(policy, bucket) as link:
            for _ in range(100):
                user, repository, (method, rest) = draw.choice((*USERS, "")), name(draw), draw.choice(routes)
                if method == "HEAD":  # which has no body: what is given is looked at by its rights
                    to, gives = "", ""
                    _, _, letters, *_ = link.said("GET", f"/v2/{repository}/tags/list", user)
                else:
                    to, gives, letters, mount, sentence = link.said(method, f"/v2/{repository}/{rest}", user)
                have = model(policy, user, repository)
                assert letters == rights.letters(have), (policy, user, repository)
                if method == "HEAD":
                    continue
                may = bool(have & ROUTES[method, rest])
                assert gives == ("1" if may else ""), (policy, user, repository, method, rest)
                assert (to == "@secreg_refused") == (not may)
                allowed += may
                if "from=" in rest and may:
                    source = "read" in model(policy, user, "a/b")
                    assert mount == (f"?from=a/b&mount={DIGEST}" if source else "")
                if not have:
                    assert " may not " in sentence and sentence.endswith(f" {repository}"), sentence
    assert 300 < allowed < 2000


ODD = ("/", "//", "/./", "/../", "%2f", "/%2e/", "\\", ";", "#", "?", "%00", "%25", "+", "%")
BEGINNINGS = ("/v2/", "/V2", "//v2", "/./v2", "/x/../v2", "http://a/v2", "/v2/public/..")


def paths(draw: random.Random) -> str:
    """An address that may be read in more than one way."""
    repository = draw.choice(("secret/app", "secret", "public/app", "public/../secret/app", "public/%2e%2e/secret/app"))
    rest = draw.choice([rest for method, rest in ROUTES if method == "GET"])
    address = f"/v2/{repository}/{rest}"
    for _ in range(draw.randint(0, 3)):
        place = draw.randrange(len(address))
        char = address[place]
        before, after = address[:place], address[place + 1 :]
        address = draw.choice(
            (
                f"{before}%{ord(char):02x}{after}",
                f"{before}%{ord(char):02X}{after}",
                f"{before}{draw.choice(ODD)}{char}{after}",
                f"{before}{char.upper()}{after}",
                address.replace("/v2", draw.choice(BEGINNINGS)),
            )
        )
    return address


def cleaned(address: str) -> str:
    """The repository that distribution's router takes it for (net/url, path.Clean of gorilla/mux); "": for none, or it
    sends the client elsewhere."""
    path = re.sub(r"^http://[^/]*", "", address).partition("?")[0]
    if re.search("%(?![0-9A-Fa-f]{2})", path):
        return ""
    found = re.fullmatch(r"/v2/(.+)/(manifests/[^/]+|blobs/(uploads/)?[^/]*|tags/list|referrers/[^/]+)", unquote(path))
    return found[1] if found else ""


def test_no_address_gets_past_what_it_is_read_as() -> None:
    draw = random.Random(5)
    policy = Policy(
        (Repository("public/**", default=frozenset({"read"})), Repository("secret/**", (Rule(("alice",)),)))
    )
    passed = 0
    with front(policy) as link:
        for _ in range(10_000):
            address = paths(draw)
            if re.search(r"[\x00-\x20\x7f]", address):
                continue
            to, gives, *_ = link.said("GET", address, "bob")
            if gives and not re.fullmatch(r"(http://a)?/+v2/[?].*", address):  # which is but a ping
                passed += 1
                assert cleaned(address).split("/")[0] == "public", (address, to)
    assert passed > 500


def test_names_of_users_are_told_apart_by_their_capitals() -> None:
    for named in ("alice", "Alice"):
        policy = Policy((Repository("**", (Rule((named,), (), frozenset({"read"})),)),))
        with front(policy) as link:
            for user in ("alice", "Alice", "ALICE", "alice ", " alice", "alice=", "=alice"):
                assert link.said("GET", "/v2/a/tags/list", user)[1] == ("1" if user == named else ""), user


def test_a_mount_is_passed_on_in_one_way_of_writing() -> None:
    every = frozenset({"read", "create"})
    policy = Policy((Repository("a/**", default=every), Repository("b/**", default=frozenset({"create"}))))
    deep = "/".join(["a", *SEGMENTS])
    with front(policy) as link:
        for said, source in {
            f"from=a%2Fx&mount={DIGEST}": "a/x",
            f"from=a%2fx.y%2Fz&mount={quote(DIGEST, safe='')}&origin=https%3A%2F%2Fx": "a/x.y/z",
            f"mount={DIGEST}&from={quote(deep, safe='')}": deep,
            f"from=b%2Fx&mount={DIGEST}": "",
            f"from=b/x&from=a/x&mount={DIGEST}": "",
            f"from=a/x&mount={DIGEST}&from=b/x": "",
            f"%66rom=b/x&from=a/x&mount={DIGEST}": "",
            f"from=a/x%2F..%2F..%2Fb%2Fx&mount={DIGEST}": "",
            f"from=a//x&mount={DIGEST}": "",
            f"from=a%252Fx&mount={DIGEST}": "",
            "from=a/x": "",
            "digest=x": "",
        }.items():
            to, gives, _, mount, _ = link.said("POST", f"/v2/a/new/blobs/uploads/?{said}", "bob")
            assert gives == "1" and to == f"@secreg_{BITS}_begin"
            assert mount == (f"?from={source}&mount={DIGEST}" if source else ""), said


@pytest.mark.promise("robots-own-rights")
@pytest.mark.parametrize("with_policy", [True, False])
def test_robots_are_decided_about_by_their_own_rights_too(with_policy: bool) -> None:
    draw, allowed = random.Random(11), 0
    routes = [route for route in ROUTES if route[0] != "HEAD"]
    for _ in range(15):
        policy = generated(draw) if with_policy else None
        own = {f"robot-r{number}": drawn(draw) for number in range(6)}
        with front(policy, own=own) as link:
            for _ in range(80):
                user, repository, (method, rest) = draw.choice([*own, "robot-x"]), name(draw), draw.choice(routes)
                have = deciding.rights(policy, user, repository, own.get(user, ()))
                to, gives, letters, mount, _ = link.said(method, f"/v2/{repository}/{rest}", user)
                assert letters == rights.letters(have), (policy, own.get(user), user, repository)
                may = bool(have & ROUTES[method, rest])
                assert gives == ("1" if may else "") and (to == "@secreg_refused") == (not may)
                if "from=" in rest and may:
                    source = "read" in deciding.rights(policy, user, "a/b", own.get(user, ()))
                    assert mount == (f"?from=a/b&mount={DIGEST}" if source else "")
                allowed += may
    assert 50 < allowed < 1100


@pytest.mark.promise("robots-own-rights")
def test_without_a_policy_others_than_robots_go_their_way() -> None:
    with front(None, own={"robot-ci": ()}) as link:
        for user in ("alice", "robot-old", "Robot-ci", "robot-Ci"):
            to, gives, letters, *_ = link.said("DELETE", "/v2/a/manifests/v1", user)
            assert (to, gives, letters) == ("registry", "1", "rcud"), user
        for user in ("robot-ci", "robot-of-a-moment-ago"):
            to, gives, letters, *_ = link.said("GET", "/v2/a/manifests/v1", user)
            assert (to, gives, letters) == ("@secreg_refused", "", ""), user
        assert link.said("GET", "/v2/", "robot-ci")[1] == "1"
        assert link.said("GET", "/v3/x", "robot-ci")[0] == "@secreg_nowhere"
