"""access.yml as clients meet it: what each may do, and that nothing reaches the registry that may not."""

from __future__ import annotations

import base64
import hashlib
import http.client
import http.server
import json
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from secreg_host.wanted.access.policy import ACTIONS, Policy, Repository, Rule
from tests.real.conftest import new_instance
from tests.real.program import Answer, Instance, free_port
from tests.real.test_access_maps import DIGEST, ROUTES, cleaned, model, paths
from tests.real.test_manifest_service import OCI, image
from tests.stores import digest_of
from tests.unit.generation.test_rights import generated, name

USERS = ("alice", "Alice", "bob", "ci-main", "eve")
PASSWORD = "chaos"
LINE = "{SHA}" + base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()

TEAMS = """\
adminPolicy: {users: [docker], actions: [read, create, update, delete]}
groups: {ci: {users: [ci-main]}}
repositories:
  "team-a/**":
    policies:
      - {users: [alice], actions: [read, create, update]}
      - {groups: [ci], actions: [read, create]}
    defaultPolicy: [read]
  "drop/**":
    policies: [{users: [bob], actions: [create]}]
  "secret/**":
    policies: [{users: [alice], actions: [read]}]
"""


def add_users(instance: Instance) -> None:
    lines = (instance.etc / ".htpasswd").read_text()
    instance.write(".htpasswd", lines + "".join(f"{user}:{LINE}\n" for user in USERS))


def ask(instance: Instance, method: str, path: str, user: str, body: bytes | None = None, kind: str = "") -> Answer:
    password = instance.password if user == "docker" else PASSWORD
    headers = {"Content-Type": kind} if kind else {"Accept": OCI}
    return instance.ask(path, method, user=user, password=password, body=body, headers=headers)


def denied(answer: Answer) -> str:
    """What is said to who is refused."""
    assert answer.status == 403, answer
    (error,) = answer.json["errors"]
    assert error["code"] == "DENIED"
    return str(error["message"])


@pytest.fixture(scope="module")
def teams(program: Path) -> Iterator[Instance]:
    """An instance with images of `docker`, and rights of others."""
    with new_instance(program, Instance) as found:
        found.start()
        add_users(found)
        for repository in ("team-a/app", "drop/app", "secret/app", "other/app"):
            body = image(found, repository, repository)
            assert ask(found, "PUT", f"/v2/{repository}/manifests/v1", "docker", body, OCI).status == 201
        found.write("access.yml", TEAMS)
        found.reload()
        yield found


@pytest.mark.promise("access")
def test_what_each_may_do(teams: Instance) -> None:
    own = image(teams, "team-a/app", "team-a/app")
    for user, repository, reads, pushes, deletes in (
        ("alice", "team-a/app", 200, 201, 403),
        ("bob", "team-a/app", 200, 403, 403),
        ("ci-main", "team-a/app", 200, 201, 403),
        ("Alice", "secret/app", 403, 403, 403),
        ("alice", "secret/app", 200, 403, 403),
        ("bob", "other/app", 403, 403, 403),
        ("docker", "other/app", 200, 201, 202),
    ):
        assert ask(teams, "GET", f"/v2/{repository}/tags/list", user).status == reads, (user, repository)
        assert ask(teams, "GET", f"/v2/{repository}/manifests/v1", user).status == reads
        blob = digest_of(repository.encode())
        assert ask(teams, "GET", f"/v2/{repository}/blobs/{blob}", user).status == reads
        assert ask(teams, "HEAD", f"/v2/{repository}/blobs/{blob}", user).status == reads
        begun = ask(teams, "POST", f"/v2/{repository}/blobs/uploads/", user)
        assert begun.status == (202 if pushes == 201 else 403)
        if repository == "team-a/app":
            new = f"of-{user}"
            assert ask(teams, "PUT", f"/v2/{repository}/manifests/{new}", user, own, OCI).status == pushes
        if deletes == 403:
            assert ask(teams, "DELETE", f"/v2/{repository}/manifests/v1", user).status == 403
    assert ask(teams, "GET", "/v2/", "eve").status == 200


@pytest.mark.promise("access")
def test_a_refusal_is_a_sentence(teams: Instance) -> None:
    pushed = ask(teams, "POST", "/v2/team-a/app/blobs/uploads/", "bob")
    assert denied(pushed) == "bob may read team-a/app, not push to it"
    assert denied(ask(teams, "GET", "/v2/secret/app/tags/list", "bob")) == "bob may not read secret/app"
    deleted = ask(teams, "DELETE", "/v2/team-a/app/manifests/v1", "alice")
    assert denied(deleted) == "alice may read, push to and move tags of team-a/app, not delete in it"


@pytest.mark.promise("access")
def test_what_is_not_there_is_told_as_what_is_not_ones_own(teams: Instance) -> None:
    for rest in ("tags/list", "manifests/v1", "manifests/none", f"blobs/{DIGEST}", f"blobs/{digest_of(b'secret/app')}"):
        there, none = (ask(teams, "GET", f"/v2/secret/{which}/{rest}", "bob") for which in ("app", "none"))
        assert there.body.replace(b"secret/app", b"secret/none") == none.body and there.status == none.status == 403
        assert set(there.headers) == set(none.headers)


@pytest.mark.promise("access")
def test_who_may_only_create_sees_whether_blobs_are_there(teams: Instance) -> None:
    """Clients ask before they push."""
    blob = digest_of(b"drop/app")
    for rest in (f"blobs/{blob}", "manifests/v1"):
        assert ask(teams, "HEAD", f"/v2/drop/app/{rest}", "bob").status == 200
        assert ask(teams, "GET", f"/v2/drop/app/{rest}", "bob").status == 403
    assert ask(teams, "GET", "/v2/drop/app/tags/list", "bob").status == 403


@pytest.mark.promise("immutable-tags")
def test_tags_of_who_may_only_create_stay(teams: Instance) -> None:
    one, two = (image_of(teams, words) for words in ("first", "second"))
    for tag in ("release", "latest"):
        place = f"/v2/team-a/app/manifests/{tag}"
        assert ask(teams, "PUT", place, "ci-main", one, OCI).status == 201
        assert ask(teams, "PUT", place, "ci-main", one, OCI).status == 201, "a job that is tried again"
        assert "already" in denied(ask(teams, "PUT", place, "ci-main", two, OCI))
        assert ask(teams, "GET", place, "ci-main").body == one
        assert ask(teams, "PUT", place, "alice", two, OCI).status == 201


def image_of(teams: Instance, words: str) -> bytes:
    return image(teams, "team-a/app", words)


@pytest.mark.promise("access")
def test_a_blob_is_mounted_from_where_one_may_read_alone(teams: Instance) -> None:
    for source, user, wanted in (("team-a/app", "alice", 201), ("drop/app", "alice", 202), ("secret/app", "bob", 202)):
        blob = digest_of(source.encode())
        target = "team-a/mounted" if user == "alice" else "drop/mounted"
        begun = ask(teams, "POST", f"/v2/{target}/blobs/uploads/?from={quote(source, safe='')}&mount={blob}", user)
        assert begun.status == wanted, (source, user)
        said = f"from={quote(source, safe='')}&mount={blob}".encode()
        kind = "application/x-www-form-urlencoded"
        begun = ask(teams, "POST", f"/v2/{target}/blobs/uploads/", user, said, kind)
        assert begun.status == 202, "distribution takes words of a body for those of the address"
        assert ask(teams, "HEAD", f"/v2/{target}/blobs/{blob}", user).status == (200 if wanted == 201 else 404)


@pytest.mark.promise("access")
def test_the_catalogue_shows_what_one_may_read(teams: Instance) -> None:
    def names(user: str, query: str = "") -> list[str]:
        found: list[str] = ask(teams, "GET", f"/v2/_catalog{query}", user).json["repositories"]
        return found

    assert names("bob") == [one for one in names("docker") if one.startswith("team-a/")]
    assert {"drop/app", "other/app", "secret/app", "team-a/app"} <= set(names("docker"))
    assert "secret/app" in names("alice") and "secret/app" not in names("Alice")
    first = ask(teams, "GET", "/v2/_catalog?n=1", "alice")
    assert len(first.json["repositories"]) == 1 and 'rel="next"' in first.headers["Link"]


@pytest.mark.promise("access")
def test_what_a_client_says_of_itself_is_nothing(teams: Instance) -> None:
    lies = {"X-Secreg-User": "=docker=", "X-Secreg-Rights": "=rcud", "X-Secreg-Passed": "1", "X-Secreg-Access": "/x"}
    for path in ("/v2/secret/app/tags/list", "/v2/secret/app/manifests/v1"):
        assert teams.ask(path, user="bob", password=PASSWORD, headers=lies).status == 403
    own = image(teams, "team-a/app", "lies")
    kind = {"Content-Type": OCI}
    place = "/v2/team-a/app/manifests/v1"
    assert teams.ask(place, "PUT", user="ci-main", password=PASSWORD, headers=lies | kind, body=own).status == 403
    catalogue = teams.ask("/v2/_catalog", user="bob", password=PASSWORD, headers=lies).json["repositories"]
    assert "secret/app" not in catalogue


MUTATED = 10_000


@pytest.mark.promise("access")
def test_no_way_of_writing_gets_at_what_is_not_ones_own(teams: Instance) -> None:
    """As a user of another repository: neither bytes nor names."""
    draw, refused = random.Random(3), 0
    blob = digest_of(b"secret/app")
    login = base64.b64encode(f"bob:{PASSWORD}".encode()).decode()
    with teams.connection() as link:
        for _ in range(MUTATED):
            address = paths(draw).replace(DIGEST, blob).replace("public/", "team-a/").replace("public", "team-a")
            if re.search(r"[\x00-\x20\x7f]", address):
                continue
            link.putrequest(draw.choice(("GET", "GET", "HEAD")), address)
            link.putheader("Authorization", f"Basic {login}")
            link.putheader("Accept", OCI)
            link.endheaders()
            answer = link.getresponse()
            told = re.sub(rb"may not (read|push to) secret/app", b"", answer.read())  # what he said himself
            assert b"secret/app" not in told and not told.startswith(b'{"name":"secret'), (address, told)
            own = cleaned(address).split("/")[0] == "team-a" or re.fullmatch(r"(http://a)?/v2/[?].*", address)
            if not own:
                assert answer.status in (301, 400, 403, 404, 405, 414), (address, answer.status)
                assert "Docker-Content-Digest" not in answer.headers, address
            refused += answer.status == 403
    assert refused > MUTATED / 20


@pytest.mark.promise("access-lasts")
def test_a_file_that_is_gone_or_broken_changes_nothing_until_it_is_given_up(program: Path) -> None:
    with new_instance(program, Instance) as one:
        one.start()
        add_users(one)
        one.write("access.yml", 'repositories:\n  "**": {defaultPolicy: [read]}\n')
        one.reload()
        for text in (None, "", "# nothing\n", "repositories: [", "repositorys: {}\n"):
            (one.etc / "access.yml").unlink(missing_ok=True)
            if text is not None:
                one.write("access.yml", text)
            one.reload()
            status = one.run("status")
            assert status.returncode in (2, 3) and "access.yml" in status.stdout + status.stderr, text
            assert ask(one, "POST", "/v2/a/blobs/uploads/", "bob").status == 403
        explained = one.run("access", "explain", "bob", "a:v1").stdout
        assert "bob may read in a" in explained and "defaultPolicy" in explained
        one.take_over("access", "off", "--yes")
        assert ask(one, "POST", "/v2/a/blobs/uploads/", "bob").status == 202
        one.reload()
        assert ask(one, "POST", "/v2/a/blobs/uploads/", "bob").status == 202


@pytest.mark.promise("access")
def test_what_was_taken_away_is_refused_within_a_second(program: Path) -> None:
    with new_instance(program, Instance) as one:
        one.start("--watch")
        add_users(one)
        one.write("access.yml", TEAMS)
        one.wait_for("the rules", lambda: ask(one, "POST", "/v2/team-a/x/blobs/uploads/", "eve").status == 403)
        assert ask(one, "POST", "/v2/team-a/x/blobs/uploads/", "alice").status == 202
        begun = time.monotonic()
        one.write("access.yml", TEAMS.replace("read, create, update]}", "read]}"))
        one.wait_for("the change", lambda: ask(one, "POST", "/v2/team-a/x/blobs/uploads/", "alice").status == 403)
        print(f"a narrower policy: {time.monotonic() - begun:.2f} s")


class Stub(http.server.ThreadingHTTPServer):
    """In the place of a registry: says that all is well, and what it was asked."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.asked: list[tuple[str, str]] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        assert isinstance(self.server, Stub)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        status = 404 if self.command == "HEAD" else 200
        body = b"" if self.command == "HEAD" else b'{"repositories":["a","secret"]}'
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Not here."""


@contextmanager
def stub() -> Iterator[Stub]:
    server = Stub(free_port())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def written(policy: Policy) -> str:
    """`policy` as a file: JSON is YAML."""

    def rule(one: Rule) -> dict[str, list[str]]:
        actions = [action for action in ACTIONS if action in one.actions]
        return {"users": [*one.users], "groups": [*one.groups], "actions": actions}

    def actions(given: frozenset[str]) -> list[str]:
        return [action for action in ACTIONS if action in given]

    repositories = {
        one.pattern: {
            "policies": [rule(each) for each in one.policies],
            "defaultPolicy": actions(one.default),
            "anonymousPolicy": actions(one.anonymous),
        }
        for one in policy.repositories
    }
    groups = {group.name: {"users": [*group.users]} for group in policy.groups}
    whole = {"adminPolicy": rule(policy.admin), "groups": groups, "repositories": repositories}
    return json.dumps(whole)


POLICIES, EACH = 8, 650


@pytest.mark.promise("access")
def test_generated_triples_reach_the_registry_as_a_model_says(program: Path) -> None:
    """More than 5,000: what may not be is answered by the front, and the registry never hears of it."""
    draw = random.Random(1)
    with stub() as registry, new_instance(program, Instance) as one:
        one.start(REGISTRY_HOST="127.0.0.1", REGISTRY_PORT=str(registry.server_address[1]))
        add_users(one)
        one.reload()
        count = 0
        for _ in range(POLICIES):
            policy = generated(draw)
            if not policy.repositories:
                policy = Policy((Repository("**"), *policy.repositories), Rule(("alice",), (), frozenset(ACTIONS)))
            one.write("access.yml", written(policy))
            one.reload()
            with one.connection() as link:
                for _ in range(EACH):
                    user, repository, (method, rest) = draw.choice(USERS), name(draw), draw.choice(list(ROUTES))
                    registry.asked.clear()
                    status = said(link, method, f"/v2/{repository}/{rest}", user)
                    have = model(policy, user, repository)
                    may = bool(have & ROUTES[method, rest])
                    assert bool(registry.asked) == may, (policy, user, repository, method, rest, registry.asked)
                    if (method, rest) == ("PUT", "manifests/v1"):  # this registry has no tag yet
                        may = "create" in have
                        assert (("PUT", f"/v2/{repository}/{rest}") in registry.asked) == may
                    assert (status != 403) == may, (policy, user, repository, method, rest, status)
                    count += 1
        assert count > 5000


def said(link: http.client.HTTPSConnection, method: str, path: str, user: str) -> int:
    secret = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    body = b"{}" if method in ("PUT", "PATCH") else None
    link.request(method, path, body=body, headers={"Authorization": f"Basic {secret}", "Content-Type": OCI})
    answer = link.getresponse()
    answer.read()
    return answer.status
