"""Runs on the host, beside load.py and pushers.py: images that must never be lost, and a CI that overwrites `latest`.

    keeper.py push            pushes them; prints, as JSON, what each is: [repository, tag or digest, digest]
    keeper.py check           reads that, pulls all of it, with each child, and hashes it; prints what is wrong
    keeper.py ci FROM TO      overwrites ci/app:latest; prints the digests of the layers that it pushed
    keeper.py cut NUMBER      uploads a layer of a push to ci/app that is never ended; prints its digest in a list
    keeper.py ask METHOD PATH...  prints the status of each

Its first line of input is the password of user docker.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import sys

sys.path.insert(0, "/root")
import load
import pushers

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = ", ".join((OCI, OCI_INDEX, load.MANIFEST, pushers.INDEX))


class Keeper(pushers.Pusher):  # type: ignore[misc]
    """A client that pushes each kind of image, and pulls them."""

    def get(self, path: str) -> tuple[int, bytes, str]:
        link, _ = self.client.connection()
        link.request("GET", path, headers=self.client.headers | {"Accept": ACCEPT})
        answer = link.getresponse()
        return answer.status, answer.read(), answer.getheader("Content-Type") or ""

    def made(self, name: str, tag: str, words: str, **more: object) -> dict[str, object]:
        parts = [self.part(name, data.encode()) for data in ("{}", "shared by all", words)]
        said = {"schemaVersion": 2, "mediaType": OCI, "config": parts[0], "layers": parts[1:], **more}
        return dict(self.put(name, tag, said, OCI))

    def index(self, name: str, tag: str, *children: dict[str, object]) -> dict[str, object]:
        return dict(self.put(name, tag, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}, OCI_INDEX))

    def push(self) -> list[list[str]]:
        """Multi-arch, attested, signed, with a referrer, and a plain one."""
        name = "keep/x"
        platforms = [
            {**self.made(name, "", f"for {arch}"), "platform": {"os": "linux", "architecture": arch}}
            for arch in ("amd64", "arm64")
        ]
        multi = self.index(name, "multi", *platforms)
        about = {"vnd.docker.reference.type": "attestation-manifest"}
        built = self.made(name, "", "built")
        attested = self.index(name, "attested", built, {**self.made(name, "", "attests"), "annotations": about})
        signed = self.made(name, "signed", "signed")
        mark = f"{str(signed['digest']).replace(':', '-')}.sig"
        signature = self.made(name, mark, "signature")
        subject = {key: signed[key] for key in ("mediaType", "size", "digest")}
        referrer = self.made(name, "", "sbom", subject=subject, artifactType="a/b")
        known = [("multi", multi), ("attested", attested), ("signed", signed), (mark, signature)]
        by_digest = [*platforms, built, signed, referrer]
        return [
            *([name, tag, str(one["digest"])] for tag, one in known),
            *([name, str(one["digest"]), str(one["digest"])] for one in by_digest),
        ]

    def check(self, name: str, reference: str, digest: str) -> list[str]:
        """What of an image can't be pulled, or is another one."""
        status, body, _ = self.get(f"/v2/{name}/manifests/{reference}")
        if status != 200 or f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
            return [f"{name} {reference}: {status}"]
        said, wrong = json.loads(body), []
        for child in said.get("manifests", ()):
            wrong += self.check(name, child["digest"], child["digest"])
        for part in [said["config"], *said["layers"]] if "layers" in said else []:
            status, body, _ = self.get(f"/v2/{name}/blobs/{part['digest']}")
            if status != 200 or f"sha256:{hashlib.sha256(body).hexdigest()}" != part["digest"]:
                wrong.append(f"{name} {reference} {part['digest']}: {status}")
        return wrong

    def ci(self, begin: int, end: int) -> list[str]:
        name, base, layers = "ci/app", random.Random(-1).randbytes(200_000), []
        for number in range(begin, end):
            parts = [self.part(name, data) for data in (b"{}", base, random.Random(10**6 + number).randbytes(50_000))]
            said = {"schemaVersion": 2, "mediaType": load.MANIFEST, "config": parts[0], "layers": parts[1:]}
            self.put(name, "latest", said, load.MANIFEST)
            layers.append(str(parts[2]["digest"]))
        return layers


def main() -> None:
    secret = base64.b64encode(f"docker:{sys.stdin.readline().strip()}".encode()).decode()
    one, (verb, *words) = Keeper(secret, 99), sys.argv[1:]
    if verb == "push":
        found: object = one.push()
    elif verb == "check":
        found = [wrong for entry in json.loads(sys.stdin.read()) for wrong in one.check(*entry)]
    elif verb == "ci":
        found = one.ci(*map(int, words))
    elif verb == "cut":
        found = [one.part("ci/app", random.Random(10**7 + int(words[0])).randbytes(50_000))["digest"]]
    else:
        found = [one.ask(words[0], path)[0] for path in words[1:]]
    print(json.dumps(found))
    if one.refused:
        sys.exit(f"refused: {one.refused}")


if __name__ == "__main__":
    main()
