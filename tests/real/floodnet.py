"""A network of its own (unshare --net) in which docs/floods.md's firewall stands, and strangers who open connections.

A program: it reads what to do as a line of JSON (`rules`, `steps`) and prints what came of each step. A step is an
address and how many connections it opens; or a command of the page, whose output is printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

SERVER = {False: "198.51.100.1", True: "2001:db8:1::1"}
"""By whether an address is one of IPv6."""

STRANGER, OTHER, FRIEND = "198.51.100.7", "198.51.100.8", "10.0.0.9"
STRANGER6, NEIGHBOUR6, OTHER6, FRIEND6 = "2001:db8:2::7", "2001:db8:2:0:1::8", "2001:db8:3::7", "fd00::9"
ADDRESSES = (*SERVER.values(), STRANGER, OTHER, FRIEND, STRANGER6, NEIGHBOUR6, OTHER6, FRIEND6)
PORT = 443
PATIENCE = 0.1
"""Seconds until a connection that nobody answers has failed: a neighbour answers in microseconds."""

Step = tuple[str, int] | str


def results(rules: Path, *steps: Step) -> list[str]:
    """What came of each step, behind a firewall with these rules."""
    apart = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    asked = json.dumps({"rules": str(rules), "steps": steps})
    argv = [*apart, sys.executable, "-m", "tests.real.floodnet"]
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


def _opened(source: str, count: int, held: list[socket.socket]) -> str:
    """How many connections were opened until one was not, and how that one failed."""
    is_ipv6 = ":" in source
    for number in range(count):
        link = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET)
        link.bind((source, 0))
        link.settimeout(PATIENCE)
        try:
            link.connect((SERVER[is_ipv6], PORT))
        except TimeoutError:
            return f"{number}, dropped"
        except ConnectionRefusedError:
            return f"{number}, refused"
        held.append(link)
    return "all"


def _main() -> list[str]:
    asked = json.loads(sys.stdin.read())
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        subprocess.run(["ip", "address", "add", address, "dev", "lo", *(["nodad"] * (":" in address))], check=True)
    subprocess.run(["nft", "-f", asked["rules"]], check=True)
    found: list[str] = []
    held: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            socket.create_server(("::", PORT), family=socket.AF_INET6, backlog=4096, dualstack_ipv6=True)
        )
        for step in asked["steps"]:
            if step == "close":
                for link in held:
                    link.close()
                held.clear()
                server.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        server.accept()[0].close()
                found.append("")
            elif isinstance(step, str):
                found.append(subprocess.run(["sh", "-c", step], check=True, capture_output=True, text=True).stdout)
            else:
                found.append(_opened(step[0], step[1], held))
    return found


if __name__ == "__main__":
    print(json.dumps(_main()))
