"""What whoever has taken over the registry could leave in its storage, and what the front makes of it (on the host).

The registry is stopped meanwhile (SIGSTOP), so an answer is the front's. Reads a password from stdin; prints, as JSON,
for each plant the status (0: none within some seconds) and whether the answer held a secret.
"""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import shutil
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

STORAGE = Path("/var/lib/secure-registry/storage")
TREE = STORAGE / "docker/registry/v2"
KEY = Path("/var/lib/secure-registry/current/front/docker-registry.key")
OUTSIDE = Path("/srv/outside")
KIND = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": KIND, "config": {"mediaType": "a/b", "digest": f"sha256:{64 * 'a'}", "size": 2},
     "layers": []}
).encode()  # fmt: skip
SECONDS = 5.0
DESCRIPTORS = 64

Plant = Callable[[Path], object]


def linked(target: Path | str) -> Plant:
    def plant(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return plant


def elsewhere(path: Path) -> None:
    """The same bytes, behind a link."""
    OUTSIDE.mkdir(exist_ok=True)
    moved = OUTSIDE / hashlib.sha256(str(path).encode()).hexdigest()
    shutil.move(path, moved)
    path.symlink_to(moved)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    os.truncate(path, 1 << 30)


def above(plant: Plant) -> Plant:
    return lambda path: plant(path.parent)


def kept(path: Path) -> None:
    """As the registry wrote it."""


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def blob(name: str, of: str, plant: Plant) -> str:
    """A blob in repository `planted`, `plant`ed at its `data` or its `link`; its address."""
    data = name.encode()
    digest = hashlib.sha256(data).hexdigest()
    places = {
        "data": write(TREE / f"blobs/sha256/{digest[:2]}/{digest}/data", data),
        "link": write(TREE / f"repositories/planted/_layers/sha256/{digest}/link", f"sha256:{digest}".encode()),
    }
    plant(places[of])
    return f"/v2/planted/blobs/sha256:{digest}"


def manifest(name: str, of: str, plant: Plant) -> str:
    """A tagged manifest, each in a repository of its own."""
    data = MANIFEST + b" " * (int(hashlib.sha256(name.encode()).hexdigest(), 16) % 4096)
    digest = hashlib.sha256(data).hexdigest()
    link = f"sha256:{digest}".encode()
    repository = TREE / f"repositories/{name}/_manifests"
    places = {
        "data": write(TREE / f"blobs/sha256/{digest[:2]}/{digest}/data", data),
        "tag": write(repository / "tags/tag/current/link", link),
        "revision": write(repository / f"revisions/sha256/{digest}/link", link),
    }
    plant(places[of])
    return f"/v2/{name}/manifests/tag"


def plants() -> dict[str, str]:
    """Names and addresses."""
    found = {"good-blob": blob("good-blob", "data", kept), "good-manifest": manifest("good-manifest", "data", kept)}
    for number in range(DESCRIPTORS):
        name = f"descriptor-{number}"
        found[name] = blob(name, "data", linked(f"/proc/self/fd/{number}"))
    found["key"] = blob("key", "data", linked(KEY))
    for make, kinds in ((blob, ("data", "link")), (manifest, ("data", "tag", "revision"))):
        for of in kinds:
            for how, plant in (("elsewhere", elsewhere), ("above", above(elsewhere)), ("pipe", pipe), ("huge", huge)):
                if make is manifest or how != "huge" or of == "link":
                    name = f"{make.__name__}-{of}-{how}"
                    found[name] = make(name, of, plant)
    for place in (STORAGE, OUTSIDE):
        os.system(f"chown -hR secure-registry:secure-registry {place}; chmod -R u+rwX,g+rX,o-rwx {place}")
    return found


def ask(path: str, authorization: str) -> tuple[int, bool]:
    context = ssl.create_default_context(cafile="/etc/secure-registry/ca.crt")
    link = http.client.HTTPSConnection("localhost", timeout=SECONDS, context=context)
    try:
        link.request("GET", path, headers={"Authorization": authorization, "Accept": KIND})
        answer = link.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return 0, False
    finally:
        link.close()
    secrets = (KEY.read_bytes()[:200], authorization.removeprefix("Basic ").encode(), b"KEY: ")
    return answer.status, any(secret in body for secret in secrets)


def main() -> None:
    password = sys.stdin.read().strip()
    authorization = "Basic " + base64.b64encode(f"docker:{password}".encode()).decode()
    paths = plants()
    good = ["good-blob", "good-manifest"]
    first = {name: ask(paths[name], authorization) for name in good}
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        answers = pool.map(lambda name: ask(paths[name], authorization), [name for name in paths if name not in good])
        found = first | dict(zip([name for name in paths if name not in good], answers, strict=True))
    found |= {f"{name}-again-{turn}": ask(paths[name], authorization) for name in good for turn in range(8)}
    print(json.dumps(found))


main()
