"""The plot of the side by side figures: one panel for each measure, a bar for each peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import facts, targets
from bench.results import Results
from bench.table import figure
from bench.targets import FRONT, PEERS, Measure

COLOURS = {
    "ours": "#0b7a4b",
    "original": "#c26a1b",
    "registry": "#5b6b8c",
    "caddy": "#9a4d8f",
    "old": "#7fb79b",
    "limit": "#b8b8b8",
}
COLUMNS = 4
LOGARITHMIC = 15.0
"""Bars that differ by more than this factor are drawn on a logarithmic scale."""


def draw(results: Results, target: Path) -> None:
    """Write the PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = results["front"]["figures"]
    shown = [measure for measure in FRONT if measure.plotted and figures.get(measure.key)]
    rows = -(-len(shown) // COLUMNS)
    canvas, panels = pyplot.subplots(rows, COLUMNS, figsize=(4.2 * COLUMNS, 2.3 * rows + 0.9), squeeze=False)
    for panel in panels.flat[len(shown) :]:
        panel.set_axis_off()
    for panel, measure in zip(panels.flat, shown, strict=False):
        _panel(panel, measure, figures[measure.key])
    canvas.suptitle("secure-registry and its peers, one run on one machine", fontsize=15, fontweight="bold")
    canvas.text(0.5, 0.008, facts.describe(results["front"]["machine"]), ha="center", fontsize=8.5, color="#444444")
    canvas.tight_layout(rect=(0, 0.025, 1, 0.985), h_pad=1.6, w_pad=1.6)
    canvas.savefig(target, dpi=100, metadata={"Software": None})
    pyplot.close(canvas)


def _panel(panel: Any, measure: Measure, values: targets.Values) -> None:
    names = [peer for peer in PEERS if peer in values]
    heights = [values[peer] for peer in names]
    bars = panel.barh(range(len(names)), heights, color=[COLOURS[peer] for peer in names], height=0.72)
    panel.bar_label(bars, labels=[f" {figure(values[peer])}" for peer in names], fontsize=9.5, padding=2)
    panel.set_yticks(range(len(names)), [PEERS[peer] for peer in names], fontsize=9.5)
    panel.get_yticklabels()[0].set_fontweight("bold")
    panel.invert_yaxis()
    positive = [height for height in heights if height > 0]
    logarithmic = bool(positive) and len(positive) == len(heights) and max(positive) > LOGARITHMIC * min(positive)
    if logarithmic:
        panel.set_xscale("log")
        panel.set_xlim(min(positive) / 3, max(positive) * 12)
    else:
        panel.set_xlim(0, max([*heights, 1e-9]) * 1.35)
    direction = "more is better" if measure.more_is_better else "less is better"
    panel.set_title(measure.title[0].upper() + measure.title[1:], fontsize=10.5, loc="left")
    panel.set_xlabel(f"{measure.unit}, {direction}{', logarithmic' if logarithmic else ''}", fontsize=8.5)
    panel.tick_params(axis="x", labelsize=8.5)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
