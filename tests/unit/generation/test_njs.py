"""Whether the administrator's own configuration loads nginx's JavaScript module."""

from __future__ import annotations

import pytest

from secreg_host.generation import njs
from secreg_host.wanted.parts.nginx import NginxPart

LOADS = f"load_module modules/{njs.NAME};"


@pytest.mark.parametrize(
    ("text", "loaded"),
    [
        (LOADS, True),
        (f"events {{}} {LOADS}\n", True),
        (f"user x;load_module # why\n    '{njs.NAME}'\n;", True),
        ("load_module modules/other.so;", False),
        (f"# {LOADS}\n", False),
        (f"user x; # load_module\n# {njs.NAME}", False),
        (f"load_module other.so; include {njs.NAME}.conf;", False),
        ("", False),
    ],
)
def test_who_loads_the_module(text: str, loaded: bool) -> None:
    assert njs.loaded_by(NginxPart(files={"nginx.conf": text.encode()})) is loaded
