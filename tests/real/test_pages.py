"""The manual pages and the completions as the package has them: clean, complete, and working in real shells."""

from __future__ import annotations

import gzip
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from secreg_host.command import cli
from secreg_host.wanted import settings

PAGES = ("man8/secure-registry.8.gz", "man5/secure-registry.conf.5.gz")


@pytest.fixture(scope="module")
def share(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/usr/share of the package, with a command in ../bin that needs nothing installed."""
    target = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg-deb", "-x", deb, target], check=True)
    launcher = target / "usr/bin/secure-registry"
    launcher.write_text(launcher.read_text().replace('"/usr/share', f'"{target}/usr/share'))
    return target / "usr/share"


def test_what_the_readme_leads_administrators_to_is_there(share: Path) -> None:
    """Without internet; what is for developers is in the source alone."""
    docs = share / "doc/secure-registry"
    named = re.findall(r"\]\(((?:docs/|SECURITY)[^)]*)\)", (docs / "README.md").read_text())
    assert len(named) >= 2 and [name for name in named if not (docs / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_reader_complains(share: Path, page: str, tmp_path: Path) -> None:
    plain = tmp_path / Path(page).stem
    plain.write_bytes(gzip.decompress((share / "man" / page).read_bytes()))
    environment = os.environ | {"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "100"}
    argv = ["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(plain)]
    done = subprocess.run(argv, env=environment, capture_output=True, check=True)
    assert done.stderr == b""
    # docutils writes two things that mandoc passes over: a paragraph right after a heading, and groff's font C
    said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", plain], capture_output=True, text=True).stdout
    known = ("skipping paragraph macro: sp after SH", "unknown font, skipping request: ft C")
    assert [line for line in said.splitlines() if not line.endswith(known)] == []


def text(share: Path, page: str) -> str:
    environment = os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "200", "MAN_KEEP_FORMATTING": "", "GROFF_NO_SGR": "1"}
    done = subprocess.run(
        ["man", "-E", "UTF-8", "-l", share / "man" / page], env=environment, capture_output=True, text=True, check=True
    )
    return re.sub(r".\x08", "", done.stdout).replace("\u2010\n", "")


def test_each_command_and_option_is_explained(share: Path) -> None:
    page = text(share, PAGES[0])
    parser = cli.build_parser()
    spelled = set(re.findall(r"(?m)^ +(-[\w-]+)", parser.format_help()))
    for name in cli.VERBS:
        assert f"secure-registry {name}" in page, name
        commands = next(action for action in parser._actions if action.dest == "verb")
        assert isinstance(commands.choices, dict)
        spelled |= set(re.findall(r"(?m)^ +(-[\w-]+)", commands.choices[name].format_help()))
    spelled -= {"-h"}
    assert "--disposable" in spelled and "-B" in spelled
    assert {option for option in spelled if not re.search(rf"(?m)^ +{option}\b", page)} == set()


def test_each_setting_is_explained(share: Path) -> None:
    page = text(share, PAGES[1])
    for key in settings.KEYS:
        assert re.search(rf"(?m)^       {key.name}\b", page), key.name
        assert " ".join(key.about.split())[:60] in " ".join(page.split()), key.name


def typed(argv: list[str], lines: list[str], want: str, path: Path) -> str:
    """What a shell on a terminal shows once `lines` were typed, as soon as it holds `want`."""
    environment = {"PATH": f"{path}:/usr/bin:/bin", "TERM": "dumb", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, environment)
    shown = ""
    try:
        for line in lines:
            os.write(terminal, line.encode())
            marker = "ready" if line.endswith("\n") else want
            deadline = time.monotonic() + 20
            while marker not in shown.replace("re''ady", "") and time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.2)[0]:
                    shown += os.read(terminal, 4096).decode(errors="replace")
            if line.endswith("\n"):
                shown = ""
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return shown


def test_bash_completes(share: Path) -> None:
    script = share / "bash-completion/completions/secure-registry"
    setup = f"source /usr/share/bash-completion/bash_completion; source {script}; echo re''ady\n"
    path = share.parent / "bin"
    shell = ["bash", "--norc", "--noprofile", "-i"]
    assert "secure-registry uninstall " in typed(shell, [setup, "secure-registry uni\t"], "uninstall ", path)
    assert "--disposable " in typed(shell, [setup, "secure-registry start --disp\t"], "--disposable ", path)


def test_zsh_completes(share: Path) -> None:
    functions = share / "zsh/vendor-completions"
    setup = f"fpath=({functions} $fpath); autoload -U compinit; compinit -u -D; echo re''ady\n"
    path = share.parent / "bin"
    shell = ["zsh", "-f", "-i"]
    assert "secure-registry uninstall " in typed(shell, [setup, "secure-registry uni\t"], "uninstall ", path)
    assert "--disposable " in typed(shell, [setup, "secure-registry start --disp\t"], "--disposable ", path)


def test_fish_completes(share: Path) -> None:
    script = share / "fish/vendor_completions.d/secure-registry.fish"
    path = share.parent / "bin"
    for line, want in (("secure-registry uni", "uninstall"), ("secure-registry start --disp", "--disposable")):
        done = subprocess.run(
            ["fish", "--no-config", "--command", f"source {script}; complete --do-complete '{line}'"],
            env={"PATH": f"{path}:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert want in done.stdout.split(), done


def test_what_the_units_run_is_not_offered(share: Path) -> None:
    script = share / "fish/vendor_completions.d/secure-registry.fish"
    done = subprocess.run(
        ["fish", "--no-config", "--command", f"source {script}; complete --do-complete 'secure-registry '"],
        env={"PATH": f"{share.parent}/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    offered = {line.split("\t")[0] for line in done.stdout.splitlines()}
    assert set(cli.VERBS) <= offered and "apply" not in offered
