# SPDX-License-Identifier: BSD-2-Clause
"""The demo's report as one HTML file that needs nothing else."""

import html
from typing import List, Sequence

from .result import Result
from .summary import add_up, passed, rows, sentence
from .timeline import Timeline

_STYLE = """
:root { --ink: #1d2733; --soft: #5b6876; --line: #e3e8ee; --blue: #2f6fdb;
  --green: #128a5d; --red: #d2342f; --amber: #d98200; }
* { box-sizing: border-box; }
body { margin: 0; background: #f6f8fa; color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 12px; }
.sub { color: var(--soft); margin: 0 0 24px; }
.card { background: #fff; border: 1px solid var(--line); padding: 24px;
  border-radius: 12px; margin: 0 0 20px;
  box-shadow: 0 1px 2px rgba(20, 40, 60, 0.04); }
.verdict { border-left: 4px solid var(--green); font-size: 18px; }
.verdict.bad { border-left-color: var(--red); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 8px 12px; text-align: right;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; font-size: 14px; }
tbody tr { border-top: 1px solid var(--line); }
td.bad { color: var(--red); font-weight: 600; }
td.good { color: var(--green); font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 18px; margin: 8px 0 0;
  color: var(--soft); font-size: 14px; }
.legend i { display: inline-block; width: 10px; height: 10px;
  border-radius: 50%; margin-right: 6px; }
.legend i.bar { border-radius: 1px; width: 4px; height: 14px;
  vertical-align: -2px; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; }
.label { fill: #5b6876; } .event { fill: #1d2733; font-weight: 600; }
.grid { stroke: #eef1f5; } .axis { stroke: #b9c3ce; }
.edge { stroke: #8a97a5; stroke-dasharray: 3 3; }
.stopped { fill: #eef0f4; } .strip { fill: #dfeafc; }
.reply, .held { fill: none; stroke-linecap: round; stroke-width: 3; }
.reply { stroke: #2f6fdb; stroke-opacity: 0.55; }
.held { stroke: #128a5d; }
.lost { stroke: #d2342f; stroke-width: 1.4; }
.twice { stroke: #d98200; stroke-width: 1.6; }
.facts { color: var(--soft); font-size: 14px; margin: 0; }
"""

_LEGEND = """<p class="legend">
<span><i style="background:#2f6fdb"></i>answered</span>
<span><i style="background:#128a5d"></i>sent while the guest stood still,
answered</span>
<span><i class="bar" style="background:#d2342f"></i>never answered</span>
<span><i class="bar" style="background:#d98200"></i>answered twice</span>
</p>"""


def _summary_table(without: Sequence[Result],
                   with_: Sequence[Result]) -> str:
    a, b = add_up(without), add_up(with_)
    marks = {"lost": (a.lost, b.lost),
             "duplicated": (a.duplicated, b.duplicated)}
    lines = []
    for name, left, right in rows(a, b):
        cells = []
        for text, count in zip((left, right), marks.get(name, (None, None))):
            style = "" if count is None else \
                ' class="bad"' if count else ' class="good"'
            cells.append(f"<td{style}>{html.escape(text)}</td>")
        lines.append(f"<tr><td>{html.escape(name)}</td>{''.join(cells)}</tr>")
    return ("<table><thead><tr><th></th><th>without tapferry</th>"
            "<th>with tapferry</th></tr></thead><tbody>"
            + "".join(lines) + "</tbody></table>")


def _picture(title: str, result: Result, delay_max_ms: float) -> str:
    svg = Timeline(result, delay_max_ms).svg()
    return (f'<section class="card"><h2>{html.escape(title)}</h2>'
            f"{svg}{_LEGEND}</section>")


def _pictures(without: Sequence[Result], with_: Sequence[Result]) -> str:
    parts: List[str] = []
    for number, (a, b) in enumerate(zip(without, with_), 1):
        run = f", run {number}" if len(with_) > 1 else ""
        longest = max(a.stream.round_trip_ms[2], b.stream.round_trip_ms[2])
        parts += [_picture(f"Without tapferry{run}", a, longest),
                  _picture(f"With tapferry{run}", b, longest)]
    return "".join(parts)


def _ledgers(with_: Sequence[Result]) -> str:
    lines = []
    for number, result in enumerate(with_, 1):
        for each in result.ledgers:
            counters = ", ".join(f"{name} {value:,}" for name, value
                                 in each.counters.items() if value)
            style = "good" if each.balanced else "bad"
            word = "balances" if each.balanced else "does not balance"
            lines.append(
                f"<tr><td>run {number}, {each.side}</td>"
                f"<td>{html.escape(counters)}</td>"
                f'<td class="{style}">{word}</td></tr>')
    return ('<section class="card"><h2>The daemons\' accounts, in frames'
            "</h2><table><tbody>" + "".join(lines) +
            "</tbody></table></section>")


def facts(result: Result) -> str:
    """What the runs had in common."""
    scenario, machine = result.scenario, result.scenario.machine
    return (f"{scenario.pps:,} packets/s of {scenario.size} bytes to a "
            f"{machine.memory_mb} MB guest that keeps writing to "
            f"{machine.dirty_mb} MB; QEMU {result.environment['qemu']} "
            f"({machine.accelerator}), Linux "
            f"{result.environment['kernel']}, "
            f"{result.environment['cpus']} CPUs.")


def page(without: Sequence[Result], with_: Sequence[Result]) -> str:
    """The whole file."""
    verdict = "verdict" if passed(with_) else "verdict bad"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tapferry: a live migration, without and with</title>
<style>{_STYLE}</style>
</head>
<body><main>
<h1>A live migration, without and with tapferry</h1>
<p class="sub">{html.escape(facts(with_[0]))}</p>
<p class="card {verdict}">{html.escape(sentence(without, with_))}</p>
<section class="card">{_summary_table(without, with_)}</section>
{_pictures(without, with_)}
{_ledgers(with_)}
<p class="facts">Each packet is a numbered UDP datagram that the guest
sends back; STOP and RESUME are the times of QEMU's own events.</p>
</main></body>
</html>
"""
