"""Programs are started in one way, whether they are waited for or left running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from secreg_host.base import process
from secreg_host.base.errors import SecregError

pytestmark = pytest.mark.real
EITHER = pytest.mark.parametrize("start", [process.run, process.spawn])


@EITHER
def test_what_can_not_be_started_is_named(start: Callable[[Sequence[str]], object], tmp_path: Path) -> None:
    with pytest.raises(SecregError, match="program not found: /nowhere/nginx") as raised:
        start(["/nowhere/nginx", "-t"])
    assert "install" in raised.value.problems[0].hint
    text = tmp_path / "text"
    text.write_bytes(b"no program")
    with pytest.raises(SecregError, match=f"cannot run {text}: Permission denied") as raised:
        start([str(text)])
    assert raised.value.problems[0].hint == f"see what it is: file {text}"


@EITHER
def test_they_have_no_input_and_an_environment_of_our_own(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/nobody")
    argv = ["sh", "-c", 'echo "$LANG $GIVEN <$HOME> $(cat)"']
    done = start(argv, environment={"GIVEN": "given"})
    said = done.stdout if isinstance(done.stdout, str) else done.communicate()[0].decode()
    assert said == "C.UTF-8 given <> \n"


def test_one_that_does_not_end_is_ended() -> None:
    with pytest.raises(SecregError, match="sleep 60 did not end within 0 s"):
        process.run(["sleep", "60"], 0.1)
