"""What counts as a line of code."""

from __future__ import annotations

from tests import size

MODULE = '''"""A module
of two lines."""

import logging

log = logging.getLogger(__name__)

VALUE = (  # with a remark
    1,
)
"""What is said of it."""


def act() -> str:
    """Act."""
    log.debug(
        "acts",
    )

    # nothing else
    return """text
of two lines"""
'''


def test_what_is_written_for_readers_costs_nothing() -> None:
    """VALUE, act, and what it returns."""
    assert size.code(MODULE) == 3 + 1 + 2


def test_a_name_that_is_no_logger_counts() -> None:
    assert size.code("import logging.handlers\nlogs.add(1)\nlogin()\n") == 3
