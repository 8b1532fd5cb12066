"""While a start tries for long what was never proven, what is proven serves."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from secreg_host.apply import activate
from secreg_host.apply.activate import Stage
from secreg_host.base import waiting
from secreg_host.base.errors import SecregError
from secreg_host.generation.generations import Generation

PATIENCE_SECONDS = 2.0
"""How long the port may stay closed for what is only tried: a program that hangs, a registry whose back end is away."""


def patient(stage: Stage, proven: Generation) -> Stage:
    """`stage`, for trying something at a start: whoever waits for longer than `PATIENCE_SECONDS` has `proven` serve
    meanwhile, unless it does. That is tried once; why it can't, an activation tells later."""
    due, done = waiting.within(PATIENCE_SECONDS), False

    def meanwhile() -> None:
        nonlocal done
        stage.meanwhile()
        if done or not due.over:
            return
        done = True
        if not activate.reaches(stage.host, proven):
            with contextlib.suppress(SecregError):
                activate.activate(stage, proven, proven)

    return replace(stage, meanwhile=meanwhile)
