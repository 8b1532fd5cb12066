"""What systemd and setpriv(1) say of a program that did not start, in plain words."""

from __future__ import annotations

import pytest

from secreg_host.apply import faults
from secreg_host.services import notstarted

UNIT = "secure-registry-registry@b.service: "


@pytest.mark.parametrize(
    ("said", "what", "hint", "program"),
    [
        (
            f"{UNIT}Failed at step EXEC spawning /root/a b: No such file or directory",
            "/root/a b can't be executed: No such file or directory",
            "install it below /usr/local",
            True,
        ),
        (
            f"{UNIT}Failed at step EXEC spawning /opt/x: Exec format error",
            "/opt/x can't be executed: Exec format error",
            "file /opt/x",
            True,
        ),
        (
            "setpriv: failed to execute /opt/x: Permission denied",
            "/opt/x can't be executed: Permission denied",
            "ls -lL /opt/x",
            True,
        ),
        (f"{UNIT}Failed at step USER spawning /opt/x: No such process", "user does not exist", "sysusers", False),
        (f"{UNIT}Failed at step CHDIR spawning /opt/x: No such file", "step CHDIR", "systemd.exec(5)", False),
    ],
)
def test_a_step_that_failed_is_told_with_what_to_do(said: str, what: str, hint: str, program: bool) -> None:
    found = notstarted.explain(["level=fatal of another kind", said, "no more"])
    assert found is not None
    assert what in found.what and hint in found.hint and found.program is program


def test_a_sandbox_is_no_fault_of_the_program() -> None:
    path = "/run/systemd/unit-root/home/x/data"
    lines = [
        f"{UNIT}Failed to set up mount namespacing: {path}: No such file or directory",
        f"{UNIT}Failed at step NAMESPACE spawning /usr/bin/docker-registry: No such file or directory",
    ]
    found = notstarted.explain(lines)
    assert found == ("its sandbox can't be set up: /home/x/data: No such file or directory", found[1], False)  # type: ignore[index]
    assert "ls -ld /home/x/data" in found[1]


def test_what_started_is_not_explained() -> None:
    assert notstarted.explain(['level=fatal msg="configuration error"', "panic: x"]) is None


def test_the_detail_tells_more_than_the_message() -> None:
    said = 'time="x" level=error msg="response completed with error" err.detail="filesystem: mkdir /x: no space left"'
    assert faults.reason([said, "later"]) == "filesystem: mkdir /x: no space left"
