"""Measure the front beside its peers, and the service on booted hosts; write tables, a plot and README's numbers.

Needs root (control groups, booted hosts) and a machine that does nothing else meanwhile. About 18 minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench import backups, costs, flood, front, hosts, http2, images, plot, pushes, results, table, verbs
from tests.hosts import tree

PARTS = ("front", "http2", "flood", "hosts", "watchdog", "verbs", "backups", "images", "pushes")
ALIKE = {
    "front": front.measure,
    "flood": flood.measure,
    "backups": backups.measure,
    "images": images.measure,
    "pushes": pushes.measure,
}
"""Parts that are measured on this machine, and say how far they are."""


def main() -> int:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{' or '.join(PARTS)}; all without")
    parser.add_argument("--quick", action="store_true", help="a short run that shows that it works; writes nothing")
    parser.add_argument("--render", action="store_true", help="measure nothing, write tables and plot again")
    parser.add_argument("--release", action="append", choices=tree.RELEASES, help="hosts of this Debian release only")
    parser.add_argument("--deb", type=Path, help="the package for the hosts (default: that in dist/)")
    args = parser.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {' and '.join(PARTS)}")
    begin = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begin:6.0f} s  {what}", file=sys.stderr, flush=True)

    found = results.load() if not args.quick else {}
    for part in [] if args.render else args.parts or PARTS:
        say(part)
        if part in ALIKE:
            figures = ALIKE[part](say, quick=args.quick)
        elif part == "http2":
            figures = {"versions": http2.measure(quick=args.quick)}
        elif part == "verbs":
            figures = verbs.measure()
        else:
            deb = args.deb or next(Path("dist").glob("secure-registry_*_all.deb"))
            releases = args.release or list(tree.RELEASES)
            if part == "hosts":
                figures = hosts.measure(say, deb, releases, quick=args.quick)
            else:
                figures = costs.measure(say, deb, releases)
        results.save(found, part, figures, write=not args.quick)
    text = table.report(found)
    if not args.quick:
        results.TABLE.write_text(text)
        if "front" in found:
            plot.draw(found, results.PLOT)
        results.into_readme(table.readme(found))
    print(text)
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
