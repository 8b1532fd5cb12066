"""What each command does: puts the pieces together, says what happened, returns the exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from secreg_host.apply import apply as applying
from secreg_host.apply import hooks
from secreg_host.apply.activate import Stage
from secreg_host.apply.apply import Wish
from secreg_host.apply.report import Report
from secreg_host.apply.usersfirst import Users
from secreg_host.base import files, quoting, records, reserve
from secreg_host.base.errors import Exit, SecregError, bad_input
from secreg_host.base.journal import Level, notify, record, say
from secreg_host.base.paths import Paths
from secreg_host.command import instance
from secreg_host.command import status as looking
from secreg_host.generation import generations
from secreg_host.host import host as hosts
from secreg_host.host.host import Host
from secreg_host.services.services import Idle, Services
from secreg_host.wanted import defaults, sources
from secreg_host.wanted import parts as kinds
from secreg_host.wanted.settings import Settings


@dataclass(frozen=True)
class Call:
    """One call of the command: its arguments, paths and environment."""

    args: argparse.Namespace
    paths: Paths
    environment: Mapping[str, str]
    parser: argparse.ArgumentParser


def _host(call: Call) -> Host:
    """The host, if we may change it."""
    if os.geteuid() != 0 and call.paths.root == Path("/"):
        raise bad_input(
            "", "this needs root", "run it with sudo; or an instance of your own: start --foreground --root DIR"
        )
    try:
        quoting.nginx(call.paths.root)
    except ValueError:
        raise bad_input(
            "--root", "nginx can't take a path with $ or a control character", "name another directory"
        ) from None
    return hosts.discover(call.paths)


def _services(host: Host) -> Services:
    """Whoever runs this host's processes: systemd; nobody for an instance that another process runs."""
    if host.is_system and hosts.systemd_runs():
        from secreg_host.services.unitservices import UnitServices

        return UnitServices(host)
    return Idle()


def _print_findings(report: Report) -> None:
    for finding in report.findings:
        level = Level.WARNING if finding.kind == "warning" else Level.ERROR
        say(f"{finding.kind}: {finding.problem}", level)


def _record_findings(report: Report, all_of_them: bool) -> None:
    """Findings, one entry of the journal each: those that are new, or all."""
    for finding in report.findings if all_of_them else report.fresh:
        level = {"warning": Level.WARNING, "waiting": Level.INFO}.get(finding.kind, Level.ERROR)
        record(f"{finding.kind}: {finding.problem}", level, kind=finding.kind, **finding.facts)


def _run_hooks(host: Host, report: Report) -> None:
    """Tell the administrator's own programs what is new, without waiting for them."""
    if host.is_system and hosts.systemd_runs():
        for wrong in hooks.launch(host.paths, report.told):
            record(str(wrong), Level.WARNING)


def _print_provisioned(host: Host, report: Report) -> None:
    for path in report.provisioned.written:
        print(f"wrote {path}")
    password = report.provisioned.password
    if password is not None and sys.stdout.isatty():
        print(f"PASSWORD={password}")
    elif password is not None:
        print(f"the password is in {host.paths.password}")


def help_(call: Call) -> int:
    """Print the help."""
    call.parser.print_help()
    return Exit.DONE


def setup(call: Call) -> int:
    """Write what is missing and check everything; nothing is started."""
    host = _host(call)
    report = applying.apply(Stage(host, _services(host)), Wish("setup", call.environment, create=True, restore=True))
    _print_provisioned(host, report)
    _print_findings(report)
    return applying.exit_code(report)


def apply_unit(call: Call) -> int:
    """What the units run: one apply. A start that serves has succeeded, whatever is held back."""
    host = _host(call)
    start = call.args.start
    report = applying.apply(Stage(host, _services(host)), Wish("apply", {}, create=start, start=start))
    _record_findings(report, all_of_them=start)
    generation = generations.load(host, report.generation or None)
    report = _follow_trust(host, report)
    line = looking.one_line(report, generation)
    notify(f"STATUS={line}")
    _run_hooks(host, report)
    if report.changed:
        say(line)
    return Exit.DONE if start else applying.exit_code(report)


def _follow_trust(host: Host, report: Report) -> Report:
    from secreg_host.clients import trustverb

    return trustverb.follow(host, report)


def trust(call: Call) -> int:
    """Clients that trust the registry: on this host, or (show) on another one."""
    from secreg_host.clients import trustverb

    return trustverb.run(_host(call), call.args)


def start(call: Call) -> int:
    """Set up, start, and say how to log in."""
    args = call.args
    if args.disposable and not args.foreground:
        raise bad_input("", "--disposable goes with --foreground", "secure-registry start --foreground --disposable")
    if args.disposable:
        with tempfile.TemporaryDirectory(prefix="secure-registry-") as directory:
            Path(directory).chmod(0o711)
            return instance.run(hosts.discover(Paths(Path(directory))), call.environment, args.watch)
    if args.foreground:
        return instance.run(_host(call), call.environment, args.watch)
    in_foreground = instance.pid_of(call.paths) is not None  # it goes on, with what is new
    host = _host(call) if in_foreground else _system(call)
    report = applying.apply(Stage(host, _services(host)), Wish("start", call.environment, create=True))
    _print_provisioned(host, report)
    _print_findings(report)
    if in_foreground:
        instance.reload(call.paths)
    else:
        _unit_job("StartUnit")
    return _say_serving(host)


def _system(call: Call) -> Host:
    """The machine's own instance, run by systemd."""
    host = _host(call)
    if not host.is_system:
        raise bad_input("--root", "systemd runs only the machine's own instance", "add --foreground")
    if not hosts.systemd_runs():
        raise bad_input("", "systemd does not run here", "use: secure-registry start --foreground")
    return host


def _unit_job(method: str) -> None:
    """Let systemd start, stop or restart the service; raises SecregError with the unit's own words."""
    from secreg_host.base import systemd
    from secreg_host.services import units

    manager = systemd.Systemd()
    manager.job(method, units.MAIN)
    state = manager.state(units.MAIN)
    if method != "StopUnit" and state.active != "active":
        said, _, hint = state.status_text.removeprefix("failed: ").partition(" -> ")
        said = said or f"the service is {state.active} ({state.result})"
        raise SecregError(said, hint or f"journalctl -u {units.MAIN} -n 30")


def _say_serving(host: Host) -> int:
    found = looking.look(host)
    print(looking.as_text(found))
    if found.generation is not None and not found.down:
        print(f"log in with: {looking.login_hint(found.generation)}")
        if kinds.CA in found.generation.parts[kinds.CERTIFICATE].files:
            print("a line for other hosts, with which they trust it: secure-registry trust show --line")
    return found.code


def stop(call: Call) -> int:
    """Stop the registry."""
    if call.paths.root != Path("/") or not hosts.systemd_runs():
        instance.stop(call.paths)
        return Exit.DONE
    _system(call)
    _unit_job("StopUnit")
    return Exit.DONE


def restart(call: Call) -> int:
    """Stop and start."""
    host = _system(call)
    _unit_job("RestartUnit")
    return _say_serving(host)


def reload(call: Call) -> int:
    """Let changes serve; problems are printed here."""
    if call.paths.root != Path("/") or not hosts.systemd_runs():
        return _reload_instance(call.paths)
    host = _system(call)
    services = _services(host)
    if not services.wanted():
        raise SecregError("it does not run", "secure-registry start")
    return _apply_now(host, services, "reload")


def _apply_now(host: Host, services: Services, doing: str) -> int:
    report = applying.apply(Stage(host, services), Wish(doing, {}))
    _print_findings(report)
    report = _follow_trust(host, report)
    _run_hooks(host, report)
    return _say_outcome(report)


def _reload_instance(paths: Paths) -> int:
    """The same, of an instance in the foreground."""
    report = instance.reload(paths)
    _print_findings(report)
    return _say_outcome(report)


def _say_outcome(report: Report) -> int:
    if report.changed:
        print("the changes serve" if report.generation else "the changes are good; start it: secure-registry start")
    else:
        print("what served before still serves" if report.rejected else "nothing to change")
    return applying.exit_code(report)


def status(call: Call) -> int:
    """Say what serves."""
    found = looking.look(_host(call))
    print(json.dumps(looking.as_json(found), indent=2) if call.args.json else looking.as_text(found))
    return found.code


def gencert(call: Call) -> int:
    """Issue a new certificate, and let it serve."""
    from secreg_host.wanted import authority, provision

    host = _host(call)
    order = authority.Order(call.args.new_ca, call.args.force)
    with files.lock(host.paths.lock, "gencert"):
        records.redo(host.paths)
        authority.check(host.paths, order)
        settings, _ = kinds.read_settings(host.paths, call.environment)
        facts = defaults.facts(host, fresh=True)
        made = provision.defaults_only(host, settings, facts, call.environment)
        issue = authority.issue(host, settings, facts, datetime.now(UTC), order)
    for path in issue.kept:
        print(f"kept what was there as {path}")
    for path in (*made, *(write.path for write in issue.written)):
        print(f"wrote {path}")
    return _take_over(call, host, "gencert")


def _take_over(call: Call, host: Host, doing: str) -> int:
    """Let what was just written serve, if it runs."""
    if host.is_system and hosts.systemd_runs():
        services = _services(host)
        return _apply_now(host, services, doing) if services.wanted() else Exit.DONE
    return _reload_instance(call.paths) if instance.pid_of(call.paths) else Exit.DONE


def add_htpasswd_options(parser: argparse.ArgumentParser) -> None:
    from secreg_host.command import htpasswd as tool

    tool.build_parser(parser)


def htpasswd(call: Call) -> int:
    """Change users; the change serves at once."""
    from secreg_host.command import htpasswd as tool
    from secreg_host.formats import hashoptions

    host = _host(call)
    paths = host.paths

    def settings() -> Settings:  # a user is removed whatever is wrong with them
        return kinds.read_settings(paths, call.environment)[0]

    given = settings() if not call.args.words else Settings()
    request = tool.request_of(call.args, paths.htpasswd, given.username, given.password)
    own = None
    if request.file is not None and request.file.resolve() == paths.htpasswd.resolve():
        files.make_directory(paths.state, 0o700)
        own = tool.Place(paths.state, reserve.of_state(paths))
    before = sources.mark(str(paths.htpasswd))
    code = tool.run(
        call.args, request, lambda: hashoptions.split_options(settings().opt, "OPT"), sys.stdin, sys.stdout, own
    )
    if code == Exit.DONE and sources.mark(str(paths.htpasswd)) != before:
        return _let_users_count(call, host)
    return code


def _let_users_count(call: Call, host: Host) -> int:
    """What was just written to .htpasswd counts when this returns, if anything runs; an apply follows by itself."""
    if not host.is_system or not hosts.systemd_runs():
        return _reload_instance(call.paths) if instance.pid_of(call.paths) else Exit.DONE
    users = Users(host, _services(host))
    users.serve()
    for finding in users.findings:
        say(f"{finding.kind}: {finding.problem}", Level.WARNING if finding.kind == "warning" else Level.ERROR)
    return Exit.DEGRADED if any(finding.kind == "unproven" for finding in users.findings) else Exit.DONE


def uninstall(call: Call) -> int:
    """Stop everything and remove the rendered units; with --purge also configuration and data, never images."""
    from secreg_host.command import removal

    host = _host(call)
    removal.uninstall(host, purge=call.args.purge, tell=print)
    return Exit.DONE
