"""The machine that figures come from."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

PACKAGES = ("nginx", "libnginx-mod-http-js", "docker-registry", "caddy", "wrk", "openssl")


def machine() -> dict[str, str]:
    """What a reader must know to judge figures."""
    cpu = _field("/proc/cpuinfo", "model name")
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 1024**2
    system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {
        "cores": str(os.cpu_count()),
        "cpu": cpu,
        "memory": f"{memory:.0f} GB",
        "system": system["PRETTY_NAME"].strip('"'),
        "debian": Path("/etc/debian_version").read_text().strip(),
        "kernel": platform.release().split("-")[0],
        "taken": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    } | _versions()


def describe(facts: dict[str, str]) -> str:
    """One line of it."""
    programs = ", ".join(f"{name} {facts[name].partition('-')[0]}" for name in PACKAGES if name in facts)
    return f"{facts['cores']} cores ({facts['cpu']}), {facts['memory']} memory, {facts['system']}; {programs}"


def _field(file: str, name: str) -> str:
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "unknown")


def _versions() -> dict[str, str]:
    argv = ["dpkg-query", "-W", "-f=${Package} ${Version} ${db:Status-Status}\n", *PACKAGES]
    said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in said.splitlines())
    return {row[0]: row[1] for row in rows if row[-1] == "installed"}
