"""HTTP/2 or not: curl fetches three large layers at a time, as docker does; three connections, or streams of one."""

from __future__ import annotations

import secrets
import statistics
import subprocess
import time

from bench import load
from bench.content import Storage
from bench.front import ROUNDS, give, home_directory
from bench.peers import Ours, Yard
from tests.real.program import installed

LAYERS = 3
VERSIONS = {"http1.1": " ssl;", "http2": " ssl http2;"}
"""curl's option for each version, and what nginx.conf's `listen` needs for it."""


def measure(*, quick: bool = False) -> dict[str, dict[str, float]]:
    """GB/s and the servers' CPU seconds per GB of each version; medians. `quick` only shows that it runs."""
    with home_directory() as home, installed() as program:
        ours = Ours(Yard(home, {}, secrets.token_hex()), program)
        with ours.running():
            large = Storage(ours.storage).fill().large
            give(ours.storage)
            return _compare(ours, large, 1 if quick else ROUNDS)


def _compare(ours: Ours, large: str, rounds: int) -> dict[str, dict[str, float]]:
    conf = (ours.instance.etc / "nginx.conf").read_text()
    found: dict[str, list[tuple[float, float]]] = {version: [] for version in VERSIONS}
    for _ in range(rounds):
        for version, listen in VERSIONS.items():
            ours.instance.write("nginx.conf", conf.replace(VERSIONS["http1.1"], listen))
            ours.instance.reload()
            found[version].append(_pull(ours, large, version))
    return {
        version: {"rate": statistics.median(rate for rate, _ in seen), "cpu": statistics.median(cpu for _, cpu in seen)}
        for version, seen in found.items()
    }


def _pull(ours: Ours, path: str, version: str) -> tuple[float, float]:
    url = f"https://{load.HOST}:{ours.door.port}{path}"
    secret = f'header = "Authorization: {ours.door.authorization}"'  # by the input, not by the command line
    lines = ["insecure", "silent", "show-error", "fail", "parallel", secret]
    lines += [f'url = "{url}"\noutput = /dev/null'] * LAYERS
    lines += [r'write-out = "%{http_version} %{size_download}\n"']
    cpu, begin = ours.cpu(), time.perf_counter()
    argv = ["curl", f"--{version}", "--config", "-"]
    done = subprocess.run(argv, input="\n".join(lines), stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu = time.perf_counter() - begin, ours.cpu() - cpu
    answers = [line.split() for line in done.stdout.splitlines()]
    spoken = {spoke for spoke, _ in answers}
    if spoken != {version.removeprefix("http")}:
        raise RuntimeError(f"{version} was asked for, and {spoken} spoken")
    gigabytes = sum(int(size) for _, size in answers) / 1e9
    return gigabytes / seconds, cpu / gigabytes
