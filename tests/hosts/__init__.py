"""Real Debian hosts for tests: systemd as PID 1, D-Bus, dockerd and a network of their own, booted by systemd-nspawn.

- `tree`: base trees, built once per release and cached outside the checkout.
- `machine`: one booted host; `commands` and `observe` are what can be done with it, `workspace`, `network`, `cgroup`
  and `nspawn` what it stands on.
- `files`: what is on its disk, to compare; `docker`: images for its dockerd.
- `fixtures`: the pytest fixtures; `shell`: `python -m tests.hosts.shell`, a host to play with.
"""
