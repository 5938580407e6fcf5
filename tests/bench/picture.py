# SPDX-License-Identifier: BSD-2-Clause
"""One picture of a run: bars with the range of their rounds."""

import dataclasses
import html
import math
from typing import List, Sequence

from .comparisons import THEIRS
from .figures import Json, short
from .store import about

_WIDTH, _ROW, _LABEL, _VALUE, _GAP = 760, 22, 210, 110, 18
_BAR = _WIDTH - _LABEL - _VALUE
_OURS = "#c2410c"
_THEIRS = "#64748b"
_STYLE = """
text { font: 13px sans-serif; fill: #1e293b }
.title { font-weight: bold }
.small { font-size: 11px; fill: #64748b }
"""


@dataclasses.dataclass(frozen=True)
class Bar:
    """A median, and from where to where it ranged."""

    label: str
    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Panel:
    """Bars with one scale."""

    title: str
    bars: Sequence[Bar]
    logarithmic: bool = False

    def scale(self, value: float) -> float:
        """How long a bar of this value is."""
        most = max(bar.high for bar in self.bars) or 1
        if not self.logarithmic:
            return _BAR * value / most
        least = min(bar.low for bar in self.bars if bar.low > 0) / 2
        return _BAR * math.log(max(value, least) / least) / \
            math.log(most / least)


def _bar(panel: Panel, bar: Bar, top: float) -> List[str]:
    middle = top + _ROW / 2
    low, high = (_LABEL + panel.scale(each) for each in (bar.low, bar.high))
    colour = _THEIRS if bar.label in THEIRS else _OURS
    return [
        f'<text x="{_LABEL - 8}" y="{middle + 4:.1f}" text-anchor="end">'
        f"{html.escape(bar.label)}</text>",
        f'<rect x="{_LABEL}" y="{top + 4:.1f}" height="{_ROW - 8}" '
        f'width="{panel.scale(bar.value):.1f}" fill="{colour}"/>',
        f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="#000" '
        'stroke-width="1.5"/>',
        f'<text x="{_LABEL + _BAR + 8}" y="{middle + 4:.1f}">'
        f"{short(bar.value)}</text>"]


def _panel(panel: Panel, top: float) -> List[str]:
    note = " (logarithmic)" if panel.logarithmic else ""
    lines = [f'<text class="title" x="0" y="{top + 14:.1f}">'
             f"{html.escape(panel.title)}{note}</text>"]
    for number, bar in enumerate(panel.bars):
        lines += _bar(panel, bar, top + (number + 1) * _ROW)
    return lines


def _spread(label: str, spread: Json, scale: float = 1) -> Bar:
    return Bar(label, *(spread[each] / scale
                        for each in ("median", "low", "high")))


def _panels(stored: Json) -> List[Panel]:
    panels = [Panel(f"{name}: thousand frames/s", [
        _spread(peer, figures["pps"], 1000)
        for peer, figures in peers.items()])
        for name, peers in stored.get("path", {}).items()]
    panels += [Panel(
        f"one way at {int(rate):,}/s, us: p50 to p99.9, the bar is p99", [
            Bar(peer, figures["p99"]["median"], figures["p50"]["median"],
                figures["p99.9"]["median"])
            for peer, figures in peers.items()], True)
        for rate, peers in stored.get("latency", {}).items()]
    panels += [Panel(f"{int(frames):,} frames into a TAP: s", [
        _spread(peer, figures["seconds"])
        for peer, figures in peers.items()])
        for frames, peers in stored.get("backlog", {}).items()]
    panels += _curves(stored.get("many", {}))
    panels += [Panel(f"{road}: of what it is without a daemon", [
        _spread(case, figures["of_without"])
        for case, figures in cases.items()])
        for road, cases in stored.get("traffic", {}).items()]
    return panels


def _curves(many: Json) -> List[Panel]:
    return [Panel(f"armed TAPs: {title}", [
        Bar(f"{int(count):,}", *3 * (figures[name],))
        for count, figures in many.items()], True)
        for name, title in (("rss_mib", "MiB resident"),
                            ("start_s", "s to start"),
                            ("stats_ms", "ms for query-netfilter-stats"))
        if many]


def draw(stored: Json) -> str:
    """The picture as SVG."""
    lines: List[str] = []
    top = 66.0
    for panel in _panels(stored):
        lines += _panel(panel, top)
        top += (len(panel.bars) + 1) * _ROW + _GAP
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 24}" '
        f'height="{top:.0f}" viewBox="-12 0 {_WIDTH + 24} {top:.0f}">',
        f"<style>{_STYLE}</style>",
        '<rect x="-12" width="100%" height="100%" fill="#fff"/>',
        '<text class="title" x="0" y="18">tapferry beside its peers: medians '
        f"of {stored['rounds']} rounds, and their range</text>",
        *(f'<text class="small" x="0" y="{35 + 16 * number}">'
          f"{html.escape(line)}</text>"
          for number, line in enumerate(about(stored["machine"]))),
        *lines, "</svg>", ""])
