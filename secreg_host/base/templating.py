"""The one place that renders templates/ (jinja2): an unknown variable is an error, and so is a value that was not
quoted for the language of the template (quoting.py); nothing is trimmed."""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from secreg_host.base import quoting
from secreg_host.base.paths import COMPILED, TEMPLATES

if TYPE_CHECKING:
    import jinja2
    from jinja2.bccache import Bucket


@functools.cache
def _environment(directory: Path) -> jinja2.Environment:
    """What renders the templates below `directory`; loaded here, for what only looks renders nothing."""
    import jinja2

    class Cache(jinja2.FileSystemBytecodeCache):
        """Compiled templates, kept: to compile them takes each command as long as to render and check everything.

        jinja2 compares the source's digest, its own version and Python's with what a file says, and passes over a
        broken one. The directory is only root's to write.
        """

        def dump_bytecode(self, bucket: Bucket) -> None:
            with contextlib.suppress(OSError):  # neither a full nor a read-only disk must keep anything from rendering
                super().dump_bytecode(bucket)

    def quoted(value: object) -> object:
        """`value`, the result of some `{{ }}`. Raises TypeError when no filter of quoting.py made it."""
        if isinstance(value, quoting.Quoted) or type(value) is int or isinstance(value, jinja2.Undefined):
            return value
        raise TypeError(
            f"a value of type {type(value).__name__} is not quoted; a filter is missing: {{{{ … | shell }}}}"
        )

    kept = directory == TEMPLATES and os.access(COMPILED, os.R_OK | os.X_OK)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(directory),
        bytecode_cache=Cache(str(COMPILED)) if kept else None,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        finalize=quoted,
    )
    environment.filters.update(quoting.FILTERS)
    return environment


def load(directory: Path) -> None:
    """Compile every template below `directory` for renderings to come."""
    environment = _environment(directory)
    for name in environment.list_templates():
        environment.get_template(name)


def render(directory: Path, template: str, **variables: object) -> bytes:
    """Template `template` (a name below `directory`) with `variables`, as UTF-8 bytes.

    Raises ValueError when a value can't be written in the template's language, TypeError for one that is not quoted.
    """
    return _environment(directory).get_template(template).render(**variables).encode()
