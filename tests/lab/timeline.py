# SPDX-License-Identifier: BSD-2-Clause
"""One run as a picture: when each packet was sent, how long its reply
took, what never came back.  Plain SVG, drawn by hand."""

from typing import Iterable, List, Optional, Sequence, Tuple

from .result import Result
from .traffic import Packet

WIDTH = 960
LEFT, RIGHT = 76, 16
PLOT_TOP, PLOT_HEIGHT = 62, 190
LOST_Y = 30
STRIP_TOP = PLOT_TOP + PLOT_HEIGHT + 50
HEIGHT = STRIP_TOP + 46
DOTS_MAX = 6000
MARGIN_MS = 250.0

Window = Tuple[float, float]


class _Scale:
    """Milliseconds to pixels."""

    def __init__(self, domain: Window, pixels: Window) -> None:
        self.domain = domain
        self._pixels = pixels

    def __call__(self, value: float) -> float:
        low, high = self.domain
        begin, end = self._pixels
        share = (value - low) / ((high - low) or 1.0)
        return round(begin + share * (end - begin), 1)

    def ticks(self, about: int) -> List[float]:
        """Round numbers inside the domain."""
        low, high = self.domain
        rough = (high - low) / about
        power = 10.0 ** len(str(int(rough))) / 10
        step = next((power * each for each in (1, 2, 5, 10)
                     if power * each >= rough), power * 10)
        first = int(low // step) + (1 if low % step else 0)
        ticks = []
        while first * step <= high:
            ticks.append(first * step)
            first += 1
        return ticks


def _line(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return (f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" '
            f'class="{style}"/>')


def _text(x: float, y: float, text: str, style: str = "label",
          anchor: str = "middle") -> str:
    return (f'<text x="{x}" y="{y}" class="{style}" '
            f'text-anchor="{anchor}">{text}</text>')


def _dots(points: Iterable[Tuple[float, float]], style: str) -> str:
    path = "".join(f"M{x} {y}h0" for x, y in points)
    return f'<path d="{path}" class="{style}"/>' if path else ""


def _ticks(xs: Iterable[float], top: float, bottom: float,
           style: str) -> str:
    path = "".join(f"M{x} {top}V{bottom}" for x in xs)
    return f'<path d="{path}" class="{style}"/>' if path else ""


class Timeline:
    """The picture of one run; times are milliseconds from the stop.

    Pictures to be compared get the same ``delay_max_ms``.
    """

    def __init__(self, result: Result, delay_max_ms: float) -> None:
        self._result = result
        self._packets = result.stream.packets
        self._zero = result.stopped or result.started
        self._end = result.downtime_ms or 0.0
        self._x = _Scale((-MARGIN_MS, self._end + MARGIN_MS + self._end / 2),
                         (LEFT, WIDTH - RIGHT))
        self._shown = [packet for packet in self._packets
                       if self._inside(self._at(packet))]
        self._y = _Scale((0.0, max(10.0, delay_max_ms * 1.08)),
                         (PLOT_TOP + PLOT_HEIGHT, PLOT_TOP))

    def svg(self) -> str:
        """The SVG element."""
        parts = [*self._stop_band(), *self._axes(), *self._replies(),
                 *self._marks(), *self._strip()]
        body = "\n".join(part for part in parts if part)
        return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                f'aria-label="timeline">\n{body}\n</svg>')

    def _at(self, packet: Packet) -> float:
        return 1000 * (packet.sent - self._zero)

    @staticmethod
    def _delay(packet: Packet) -> Optional[float]:
        if packet.first_reply is None:
            return None
        return 1000 * (packet.first_reply - packet.sent)

    def _inside(self, at: float) -> bool:
        return self._x.domain[0] <= at <= self._x.domain[1]

    def _stop_band(self) -> List[str]:
        if self._result.downtime_ms is None:
            return []
        x1, x2 = self._x(0.0), self._x(self._end)
        bottom = PLOT_TOP + PLOT_HEIGHT
        return [
            f'<rect x="{x1}" y="{LOST_Y - 14}" width="{x2 - x1:.1f}" '
            f'height="{bottom - LOST_Y + 14}" class="stopped"/>',
            _line(x1, LOST_Y - 14, x1, bottom, "edge"),
            _line(x2, LOST_Y - 14, x2, bottom, "edge"),
            _text(x1 - 4, 12, "STOP", "event", "end"),
            _text(x2 + 4, 12, "RESUME", "event", "start"),
            _text((x1 + x2) / 2, 12, f"{self._end:.0f} ms", "event")]

    def _axes(self) -> List[str]:
        bottom = PLOT_TOP + PLOT_HEIGHT
        right = WIDTH - RIGHT
        parts = []
        for tick in self._y.ticks(5):
            y = self._y(tick)
            parts += [_line(LEFT, y, right, y, "grid"),
                      _text(LEFT - 8, y + 4, f"{tick:g}", anchor="end")]
        for tick in self._x.ticks(10):
            parts.append(_text(self._x(tick), bottom + 16, f"{tick:g}"))
        parts += [
            _line(LEFT, bottom, right, bottom, "axis"),
            _text((LEFT + right) / 2, bottom + 32,
                  "packet sent, ms from the stop"),
            f'<text transform="translate(14 {PLOT_TOP + PLOT_HEIGHT / 2}) '
            'rotate(-90)" class="label" text-anchor="middle">'
            'reply after, ms</text>',
            _text(LEFT - 8, LOST_Y + 5, "no reply", anchor="end")]
        return parts

    def _replies(self) -> List[str]:
        answered = [packet for packet in self._shown if packet.replies]
        late = [packet for packet in answered
                if 0 <= self._at(packet) <= self._end]
        usual = [packet for packet in answered
                 if not 0 <= self._at(packet) <= self._end]
        return [self._dots_of(usual, "reply"), self._dots_of(late, "held")]

    def _dots_of(self, packets: Sequence[Packet], style: str) -> str:
        every = len(packets) // DOTS_MAX + 1
        return _dots(((self._x(self._at(packet)),
                       self._y(self._delay(packet) or 0.0))
                      for packet in packets[::every]), style)

    def _marks(self) -> List[str]:
        lost = [self._x(self._at(packet)) for packet in self._shown
                if not packet.replies]
        twice = [self._x(self._at(packet)) for packet in self._shown
                 if packet.replies > 1]
        return [_ticks(lost, LOST_Y - 8, LOST_Y + 8, "lost"),
                _ticks(twice, LOST_Y + 12, LOST_Y + 20, "twice")]

    def _strip(self) -> List[str]:
        """The whole run, so that nothing hides outside the window."""
        if not self._packets:
            return []
        whole = _Scale((self._at(self._packets[0]),
                        self._at(self._packets[-1])),
                       (LEFT, WIDTH - RIGHT))
        top, bottom = STRIP_TOP, STRIP_TOP + 18
        parts = [f'<rect x="{LEFT}" y="{top}" '
                 f'width="{WIDTH - LEFT - RIGHT}" height="18" '
                 'class="strip"/>',
                 _text(LEFT - 8, top + 13, "whole run", anchor="end")]
        if self._result.downtime_ms is not None:
            x1, x2 = whole(0.0), whole(self._end)
            parts.append(f'<rect x="{x1}" y="{top}" '
                         f'width="{max(x2 - x1, 1):.1f}" height="18" '
                         'class="stopped"/>')
        parts += [
            _ticks((whole(self._at(packet)) for packet in self._packets
                    if not packet.replies), top, bottom, "lost"),
            _ticks((whole(self._at(packet)) for packet in self._packets
                    if packet.replies > 1), top, bottom, "twice")]
        seconds = self._packets[-1].sent - self._packets[0].sent
        parts.append(_text(
            LEFT, bottom + 16,
            f"{len(self._packets):,} packets in {seconds:.1f} s, "
            f"{self._result.stream.lost:,} lost, "
            f"{self._result.stream.duplicated:,} twice", anchor="start"))
        return parts
