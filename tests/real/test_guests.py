"""Reading without a password: clients are asked for a token, which is what they would send anyway."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conftest import new_instance
from tests.real.program import Answer, Instance
from tests.real.test_access import PASSWORD, add_users, ask
from tests.real.test_manifest_service import OCI, image
from tests.stores import digest_of

RULES = """\
adminPolicy: {users: [docker], actions: [read, create, update, delete]}
repositories:
  "public/**": {anonymousPolicy: [read]}
  "inside/**": {defaultPolicy: [read]}
"""
GUEST = {"Authorization": "Bearer anonymous", "Accept": OCI}


def bearer(user: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Bearer " + base64.b64encode(f"{user}:{password}".encode()).decode(), "Accept": OCI}


@pytest.fixture(scope="module")
def public(program: Path) -> Iterator[Instance]:
    with new_instance(program, Instance) as found:
        found.start()
        add_users(found)
        for repository in ("public/app", "inside/app"):
            body = image(found, repository, repository)
            assert ask(found, "PUT", f"/v2/{repository}/manifests/v1", "docker", body, OCI).status == 201
        found.write("access.yml", RULES)
        found.reload()
        yield found


def challenges(answer: Answer) -> list[str]:
    return [value for key, value in answer.headers.items() if key.lower() == "www-authenticate"]


@pytest.mark.promise("guests")
def test_one_is_sent_for_a_token(public: Instance) -> None:
    for headers in ({}, {"Authorization": "Basic " + base64.b64encode(b"bob:wrong").decode()}):
        with public.connection() as link:
            link.request("GET", "/v2/", headers=headers)
            answer = link.getresponse()
            answer.read()
            found = answer.headers.get_all("WWW-Authenticate")
            assert answer.status == 401 and found is not None and len(found) == 1, found
            assert found[0].startswith(f'Bearer realm="https://localhost:{public.port}/v2/_token"')
    token = public.ask("/v2/_token?service=x&scope=repository:a:pull")
    assert token.status == 200 and token.json["token"] == "anonymous"
    assert token.headers["Content-Type"] == "application/json"
    given = public.ask("/v2/_token?account=bob", user="bob", password=PASSWORD)
    assert base64.b64decode(given.json["token"]) == f"bob:{PASSWORD}".encode()
    assert public.ask("/v2/_token", user="bob", password="wrong").status == 401
    assert public.ask("/v2/_token", "POST", body=b"grant_type=password").status == 404


@pytest.mark.promise("guests")
def test_a_guest_reads_what_is_public_and_nothing_else(public: Instance) -> None:
    blob = digest_of(b"public/app")
    for rest in ("manifests/v1", "tags/list", f"blobs/{blob}"):
        assert public.ask(f"/v2/public/app/{rest}", headers=GUEST).status == 200
        other = public.ask(f"/v2/inside/app/{rest}", headers=GUEST)
        none = public.ask(f"/v2/inside/none/{rest}", headers=GUEST)
        assert other.status == none.status == 401 and other.body == none.body
    assert public.ask("/v2/", headers=GUEST).status == 200
    assert public.ask("/v2/_catalog", headers=GUEST).json == {"repositories": ["public/app"]}
    for method, rest in (("POST", "blobs/uploads/"), ("PUT", "manifests/v2"), ("DELETE", "manifests/v1")):
        assert public.ask(f"/v2/public/app/{rest}", method, headers=GUEST).status == 401
    assert public.ask("/v2/public/app/tags/list").status == 401, "without a token"


@pytest.mark.promise("guests")
def test_a_token_is_a_password(public: Instance) -> None:
    assert public.ask("/v2/inside/app/tags/list", headers=bearer("bob")).status == 200
    assert public.ask("/v2/inside/app/tags/list", headers=bearer("bob", "wrong")).status == 401
    assert public.ask("/v2/public/app/tags/list", headers=bearer("bob")).status == 200
    refused = public.ask("/v2/inside/app/blobs/uploads/", "POST", headers=bearer("bob"))
    assert refused.status == 403 and "bob may read inside/app" in json.loads(refused.body)["errors"][0]["message"]
    pushed = image(public, "inside/app", "by token")
    headers = bearer("docker", public.password) | {"Content-Type": OCI}
    assert public.ask("/v2/inside/app/manifests/t", "PUT", headers=headers, body=pushed).status == 201
    assert public.ask("/v2/_catalog", headers=bearer("bob")).json == {"repositories": ["inside/app", "public/app"]}
    assert ask(public, "GET", "/v2/inside/app/tags/list", "bob").status == 200, "Basic is taken as ever"


def test_odd_tokens_are_nobody(public: Instance) -> None:
    for token in ("Bearer", "Bearer ", "Bearer x", "Bearer Og==", "Bearer anonymous2", "Basic anonymous", "Digest x"):
        answer = public.ask("/v2/public/app/tags/list", headers={"Authorization": token})
        assert answer.status == 401, token
