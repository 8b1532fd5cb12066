"""The one place that renders templates/ (jinja2): an unknown variable is an error, nothing is escaped or trimmed."""

from __future__ import annotations

import functools
from pathlib import Path

import jinja2


@functools.cache
def _environment(directory: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(directory),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )


def load(directory: Path) -> None:
    """Compile every template below `directory` for renderings to come."""
    environment = _environment(directory)
    for name in environment.list_templates():
        environment.get_template(name)


def render(directory: Path, template: str, **variables: object) -> bytes:
    """Template `template` (a name below `directory`) with `variables`, as UTF-8 bytes."""
    return _environment(directory).get_template(template).render(**variables).encode()
