"""Write the bill of materials of the packages in a directory: `sbom.py DIRECTORY OUTPUT` (CycloneDX 1.6, JSON).

It says what was built, with digests, and what each package declares to need; nothing is bundled. What is read is the
packages themselves. The same packages give the same bytes.
"""

from __future__ import annotations

import email
import hashlib
import os
import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

NAME = "secure-registry"


class Need(NamedTuple):
    """A package that is declared to be needed, where it comes from, and which versions will do."""

    kind: str
    namespace: str
    name: str
    versions: str
    required: bool


def _said(*argv: str) -> list[str]:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()


def deb_needs(path: Path) -> Iterator[Need]:
    for field in ("Depends", "Recommends"):
        for text in " ".join(_said("dpkg-deb", "--field", str(path), field)).split(","):
            name, _, versions = text.strip().partition(" ")
            if name:
                yield Need("deb", "debian", name.partition(":")[0], versions.strip("()"), field == "Depends")


def rpm_needs(path: Path) -> Iterator[Need]:
    for option in ("--requires", "--recommends"):
        for text in _said("rpm", "--query", "--package", "--nosignature", option, str(path)):
            name, _, versions = text.strip("()").partition(" ")
            if not name.startswith(("rpmlib", "config(", "/")):
                yield Need("rpm", "fedora", name, versions, option == "--requires")


def wheel_needs(path: Path) -> Iterator[Need]:
    with zipfile.ZipFile(path) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        declared = email.message_from_bytes(wheel.read(name)).get_all("Requires-Dist") or []
    for text in declared:
        if "extra ==" in text:
            continue
        found = re.match(r"([\w.-]+)\s*(.*)", text)
        assert found is not None, text
        yield Need("pypi", "", re.sub(r"[-_.]+", "-", found[1]).lower(), found[2], required=True)


READERS = {".deb": deb_needs, ".rpm": rpm_needs, ".whl": wheel_needs}


def described(path: Path, version: str) -> Component:
    """The package `path` as a component."""
    suffix = path.suffix
    kind, namespace = {".deb": ("deb", None), ".rpm": ("rpm", None)}.get(suffix, ("pypi", None))
    return Component(
        type=ComponentType.APPLICATION,
        name=NAME,
        version=version,
        bom_ref=path.name,
        purl=PackageURL(kind, namespace, NAME, version, {"file_name": path.name}),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())],
        licenses=[DisjunctiveLicense(id="MIT")],
    )


def needed(need: Need) -> Component:
    purl = PackageURL(need.kind, need.namespace or None, need.name)
    return Component(
        type=ComponentType.LIBRARY if need.name.startswith("python3-") else ComponentType.APPLICATION,
        name=need.name,
        bom_ref=str(purl),
        purl=purl,
        scope=ComponentScope.REQUIRED if need.required else ComponentScope.OPTIONAL,
        properties=[Property(name=f"{NAME}:versions", value=need.versions)] if need.versions else [],
    )


def bill(packages: list[Path], version: str, when: datetime) -> Bom:
    """The bill of materials of `packages`."""
    whole = Component(
        type=ComponentType.APPLICATION,
        name=NAME,
        version=version,
        bom_ref=NAME,
        licenses=[DisjunctiveLicense(id="MIT")],
    )
    bom = Bom()
    bom.metadata.component = whole
    bom.metadata.timestamp = when
    built = []
    for path in packages:
        package = described(path, version)
        needs: dict[str, Component] = {}
        for need in READERS.get(path.suffix, lambda _: iter(()))(path):
            needs.setdefault(str(PackageURL(need.kind, need.namespace or None, need.name)), needed(need))
        for component in (package, *needs.values()):
            bom.components.add(component)
        bom.register_dependency(package, list(needs.values()))
        built.append(package)
    bom.register_dependency(whole, built)
    digests = "".join(str(component.hashes) for component in built)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, digests)
    return bom


def main() -> int:
    directory, output = Path(sys.argv[1]), Path(sys.argv[2])
    packages = sorted(path for path in directory.iterdir() if path.name.endswith((".deb", ".rpm", ".whl", ".tar.gz")))
    (wheel,) = (path for path in packages if path.suffix == ".whl")
    when = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    text = JsonV1Dot6(bill(packages, wheel.name.split("-")[1], when)).output_as_string(indent=2)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong:
        print(f"{output}: {wrong}", file=sys.stderr)
        return 1
    output.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
