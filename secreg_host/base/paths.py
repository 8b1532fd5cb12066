"""Every path of the program. No other module holds an absolute path, but in messages, so that all of it runs under any
root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_PACKAGE, PACKAGE = Path(__file__).resolve().parents[1:3]
SHARE = _PACKAGE if (_PACKAGE / "templates").is_dir() else _PACKAGE.parent
"""Where templates/ lie: in the package that pip installed, else beside it (a checkout, /usr/share/secure-registry)."""

TEMPLATES = SHARE / "templates"
COMPILED = Path("/var/lib/secure-registry/state/templates")
"""Where compiled templates are kept, if the package was installed, which makes the directory (tmpfiles.d)."""

OS_RELEASE, PUBLIC_SUFFIXES = Path("/etc/os-release"), Path("/usr/share/publicsuffix/public_suffix_list.dat")
"""Which distribution this is (os-release(5)); domains that are nobody's own (Debian's package publicsuffix)."""

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What ProtectHome= is about (systemd.exec(5))."""

NOT_KEPT = (Path("/tmp"), Path("/var/tmp"), Path("/dev"), Path("/proc"), Path("/sys"))
"""Where a service has files of its own, by PrivateTmp= and PrivateDevices=, or nobody has any."""

PROC, NET, BOOT_ID = Path("/proc"), Path("/sys/class/net"), Path("/proc/sys/kernel/random/boot_id")
"""What the kernel says of processes and of itself (proc(5)); what is another one with each boot (random(4))."""

PROCESSES_SHOWN = (PROC, Path("/dev/fd"))
"""Where a process can be led to its own descriptors and to other processes' files."""

DESCRIPTORS = PROC / "self/fd"
AUTOGROUP = PROC / "self/autogroup"
"""A way to what is open already, whatever stands at its place by now."""

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for."""

SYSTEMD, MASK = Path("/run/systemd/system"), Path("/dev/null")
"""There where systemd is PID 1 (sd_booted(3)); what a masked unit is a link to (systemctl(1))."""

SANDBOXED, JOURNAL = "/run/systemd/unit-root", "/run/systemd/journal/socket"
"""What systemd's messages put before paths while it sets up a sandbox; where journald listens."""

SNAP_DAEMON_JSON = Path("/var/snap/docker/current/config/daemon.json")
"""Of a Docker that is a snap."""

DEFAULT_STORAGE = Path("/var/lib/registry")
"""Where distribution's filesystem driver stores without `rootdirectory`."""

OWN_NGINX, OWN_REGISTRY = Path("/usr/sbin/nginx"), Path("/usr/local/bin/registry")
"""Where an administrator may have nginx, and puts distribution's own release: found by themselves (SEARCH)."""


@dataclass(frozen=True)
class Paths:
    """The paths of one instance below `root` (`/` on a host)."""

    root: Path = Path("/")

    # --- what the administrator wants: /etc/secure-registry ---
    @property
    def etc(self) -> Path:
        return self.root / "etc/secure-registry"

    @property
    def conf(self) -> Path:
        return self.etc / "secure-registry.conf"

    @property
    def nginx_conf(self) -> Path:
        return self.etc / "nginx.conf"

    @property
    def openssl_cnf(self) -> Path:
        return self.etc / "openssl.cnf"

    @property
    def registry_yml(self) -> Path:
        return self.etc / "docker-registry.yml"

    @property
    def crt(self) -> Path:
        return self.etc / "docker-registry.crt"

    @property
    def key(self) -> Path:
        return self.etc / "docker-registry.key"

    @property
    def ca_crt(self) -> Path:
        return self.etc / "ca.crt"

    @property
    def htpasswd(self) -> Path:
        return self.etc / ".htpasswd"

    @property
    def hooks(self) -> Path:
        return self.etc / "hooks.d"

    @property
    def password(self) -> Path:
        return self.etc / ".password"

    @property
    def wanted(self) -> tuple[Path, ...]:
        """The files of /etc/secure-registry that mean something by their names."""
        pair = self.crt, self.key, self.ca_crt
        return (self.htpasswd, *pair, self.conf, self.nginx_conf, self.registry_yml, self.openssl_cnf, self.password)

    # --- what is proven, and what belongs to the program: /var/lib/secure-registry ---
    @property
    def lib(self) -> Path:
        return self.root / "var/lib/secure-registry"

    @property
    def generations(self) -> Path:
        return self.lib / "generations"

    @property
    def current(self) -> Path:
        return self.lib / "current"

    @property
    def proven(self) -> Path:
        return self.lib / "proven"  # link to the generation that was proven last, to which a cut change goes back

    def slot(self, slot: str) -> Path:
        """Link to the directory with the docker-registry.yml that the registry of `slot` runs with."""
        return self.lib / "slots" / slot

    @property
    def state(self) -> Path:
        return self.lib / "state"  # of the program's own, for root alone: CA key, http.secret, records

    @property
    def ca_key(self) -> Path:
        return self.state / "ca.key"

    @property
    def http_secret(self) -> Path:
        return self.state / "http.secret"

    @property
    def front_secret(self) -> Path:
        return self.state / "front.secret"  # random bits in the names of what lies behind the password check

    @property
    def written(self) -> Path:
        """Digests of the defaults that the program wrote, to tell an edited file from an untouched one."""
        return self.state / "written.json"

    @property
    def rendered(self) -> Path:
        return self.state / "rendered.sha256"  # of the units that the program wrote; the package's scripts read it

    @property
    def pending(self) -> Path:
        return self.state / "pending"  # redo log of a change to several files of /etc that a crash may have cut in two

    @property
    def report(self) -> Path:
        return self.state / "report.json"  # what the last apply found: rejections, warnings; read by `status`

    @property
    def storage(self) -> Path:
        return self.lib / "storage"  # images, unless docker-registry.yml names another place

    @property
    def looked(self) -> Path:
        return self.root / "var/cache/secure-registry/images.json"  # what the last look at images found; for speed only

    # --- while it runs ---
    @property
    def run(self) -> Path:
        return self.root / "run/secure-registry"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def space(self) -> Path:
        """Lock: held by many who read images (a backup), or by one who frees space in their store."""
        return self.run / "space"

    @property
    def retry(self) -> Path:
        """What failed and is tried again. Its directory is the watchdog's, and goes with it."""
        return self.run / "retry" / "retry.json"

    @property
    def rehearsal(self) -> Path:
        return self.run / "rehearsal"

    @property
    def views(self) -> Path:
        """Where the front sees images. Not in `run`: that is removed with all below."""
        return self.root / "run/secure-registry-images"

    def images(self, slot: str) -> Path:
        """Where the front sees the images of the registry of `slot`."""
        return self.views / slot

    @property
    def front_run(self) -> Path:
        return self.run / "front"

    @property
    def auth_run(self) -> Path:
        return self.run / "auth"

    @property
    def users_run(self) -> Path:
        """The users that count, for the password check and the front (liveusers.py)."""
        return self.run / "users"

    @property
    def users_live(self) -> Path:
        return self.users_run / "live"  # link to those that count right now

    def registry_run(self, slot: str) -> Path:
        return self.run / f"registry-{slot}"

    @property
    def log(self) -> Path:
        return self.root / "var/log/secure-registry"

    @property
    def units(self) -> Path:
        return self.root / "etc/systemd/system"

    @property
    def trial_units(self) -> Path:
        """Units of what is only tried. They count more than those in `units`, and are gone with the next boot."""
        return self.root / "run/systemd/system"

    @property
    def nginx_program(self) -> Path:
        """Link to the nginx that is proven. nginx itself starts what is there, when it is told to renew itself."""
        return self.lib / "programs/nginx"

    @property
    def shared_memory(self) -> Path:
        """A tmpfs that is there on each Linux, for whoever has no run directory in memory."""
        return Path("/dev/shm")

    def nginx_modules(self, name: str) -> tuple[Path, ...]:
        """Where the nginx packages of distributions, and nginx.org's, put module `name`; programs have no root."""
        places = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/local/lib/nginx/modules")
        return tuple(Path(place) / name for place in places)

    # --- clients of this host ---
    @property
    def trust(self) -> Path:
        return self.state / "trust.json"  # record of what was put into files of clients

    @property
    def backups(self) -> Path:
        """Clients' files as they were before the last edit."""
        return self.state / "backups"

    @property
    def docker(self) -> Path:
        return self.root / "etc/docker"

    @property
    def docker_socket(self) -> Path:
        return self.root / "run/docker.sock"

    @property
    def user_runs(self) -> Path:
        """Run directories of logged-in users, where a rootless dockerd has its socket."""
        return self.root / "run/user"

    @property
    def containers(self) -> Path:
        """Podman, CRI-O, Skopeo, Buildah."""
        return self.root / "etc/containers"

    @property
    def containerd(self) -> Path:
        return self.root / "etc/containerd"

    @property
    def k3s(self) -> Path:
        return self.root / "etc/rancher/k3s"

    # --- what is shipped ---
    @property
    def templates(self) -> Path:
        return TEMPLATES
