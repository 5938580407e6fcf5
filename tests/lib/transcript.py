# SPDX-License-Identifier: BSD-2-Clause
"""Transcripts: what a monitor is asked, and how two programs' replies compare.

A transcript is a text file of scenes. A scene leaves both programs as it
found them; its exchanges follow one another:

    == title of a scene
    % -qmp unix:m                   it has programs of its own with these
                                    options, and nothing is negotiated
    # comment
    . command {"argument": 1}       a command; the arguments may be left out
    : info network                  a line of the human monitor
    > {"execute": "command"}        a packet as it stands
    >x {"a": "\\xff\\{[*9}"}          the same: \\xHH is a byte, \\{T*N} N times T
    >- {"exec                       bytes with more to come, not replied to
    $ -chardev null                 options of a program that ends by itself
    = HOW ROW                       how the exchange above is compared
    < {"return": {}}                what tapferry replies where QEMU does not

HOW is one of

    class   errors have the same class and other words; the rest is equal
    shape   the same members, of the same types
    own     QEMU does it otherwise, or not at all; each reply is given with <
    alone   as own, and QEMU is not asked: it would not survive

and without that line all is equal: structure, values, classes and words.
ROW is the row of docs/compatibility.md that says why; `shape` needs none
where values differ by nature. A list that is returned has no order.
"""

import json
import re
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

Message = Dict[str, Any]


class Exchange(NamedTuple):
    """What is sent, and what is to come back."""

    mark: str
    text: str
    how: str = "same"
    row: str = ""
    replies: Optional[List[Message]] = None  # of own and alone

    @property
    def packet(self) -> bytes:
        """The bytes that are sent."""
        return PACKETS[self.mark](self.text)

    @property
    def compared(self) -> bool:
        """Is there a reply to compare?"""
        return self.mark != ">-"


class Scene(NamedTuple):
    """Exchanges that belong together."""

    file: str
    title: str
    options: Optional[List[str]]  # of its own programs
    exchanges: List[Exchange]

    def __str__(self) -> str:
        return f"{self.file}: {self.title}"


def unescape(text: str) -> bytes:
    """The bytes of a >x line."""
    text = re.sub(r"\\{(.*?)\*(\d+)}",
                  lambda match: match[1] * int(match[2]), text)
    return b"".join(
        bytes([int(part[2:], 16)]) if re.fullmatch(r"\\x[0-9a-f]{2}", part)
        else part.encode()
        for part in re.split(r"(\\x[0-9a-f]{2})", text))


def command(text: str) -> bytes:
    """The packet of a command."""
    name, _space, arguments = text.partition(" ")
    request = {"execute": name}
    if arguments:
        request["arguments"] = json.loads(arguments)
    return json.dumps(request).encode()


def human(text: str) -> bytes:
    """The packet of a line of the human monitor."""
    return command("human-monitor-command " +
                   json.dumps({"command-line": text}))


PACKETS = {".": command, ":": human, ">": str.encode, ">-": str.encode,
           ">x": unescape, "$": str.encode}


def add_line(scene: Scene, mark: str, text: str) -> Scene:
    """Adds a line of a transcript to the scene that it is in."""
    exchanges = scene.exchanges
    if mark == "%":
        return scene._replace(options=text.split())
    if mark in PACKETS:
        exchanges.append(Exchange(mark, text))
    elif mark == "=":
        how, _space, row = text.partition(" ")
        assert how in ("class", "shape", "own", "alone"), how
        assert row or how == "shape", "which row says why?"
        exchanges[-1] = exchanges[-1]._replace(
            how=how, row=row, replies=[] if how in ("own", "alone") else None)
    else:
        assert mark == "<", f"what is '{mark}'?"
        replies = exchanges[-1].replies
        assert replies is not None, "only own replies are written down"
        replies.append(json.loads(text))
    return scene


def read(path: Path) -> List[Scene]:
    """The scenes of a file."""
    scenes: List[Scene] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        mark, _space, text = line.partition(" ")
        if mark == "==":
            scenes.append(Scene(path.stem, text, None, []))
        elif mark not in ("", "#"):
            try:
                scenes[-1] = add_line(scenes[-1], mark, text)
            except (AssertionError, ValueError) as error:
                raise AssertionError(f"{path.name}:{number}: {error}") from None
    return scenes


def timeless(messages: List[Message]) -> List[Message]:
    """Takes the timestamps off events, after a look at them."""
    for message in messages:
        assert ("timestamp" in message) == ("event" in message), message
        stamp = message.pop("timestamp", None)
        if stamp:
            assert sorted(stamp) == ["microseconds", "seconds"], stamp
            assert 0 <= stamp["microseconds"] < 1000000, stamp
            assert stamp["seconds"] > 1600000000, stamp
    return messages


def shape(value: Any) -> Any:
    """The structure of a value: members and types, a list's by its first."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return type(value).__name__


def exact(value: Any) -> str:
    """For comparing: 1 is neither 1.0 nor true."""
    return json.dumps(value, sort_keys=True)


def reduced(message: Message, how: str) -> str:
    """What has to be equal of a reply."""
    message = dict(message)
    if how == "shape":
        message = shape(message)
    if how == "class":
        if "error" in message:
            message["error"] = message["error"]["class"]
        # The human monitor and the command line have no classes.
        if isinstance(message.get("return"), str):
            message["return"] = message["return"].partition(" ")[0]
        message.pop("stderr", None)
    if isinstance(message.get("return"), list):
        message["return"] = sorted(map(exact, message["return"]))
    return exact(message)


def compare(exchange: Exchange, ours: List[Message],
            theirs: Optional[List[Message]]) -> str:
    """What is wrong with the replies to an exchange; nothing is ""."""
    how = exchange.how
    expected = theirs if exchange.replies is None else exchange.replies
    wrong = ([reduced(message, how) for message in ours] !=
             [reduced(message, how) for message in expected or []])
    # A difference that is none any more is not to be written down.
    stale = exchange.row and (list(map(exact, ours)) ==
                              list(map(exact, theirs or [])))
    if not wrong and not stale:
        return ""
    return "\n".join([
        f"{exchange.mark} {exchange.text}",
        "  no difference any more:" if stale else "  tapferry:",
        *[f"    {exact(message)}" for message in ours], "  QEMU:",
        *[f"    {exact(message)[:1000]}" for message in theirs or []]])


def replay(exchange: Exchange, peer: Any) -> List[Message]:
    """What a program replies to an exchange."""
    if exchange.compared:
        return timeless(peer.exchange(exchange.packet))
    peer.write(exchange.packet)
    return []


def play(scene: Scene, ours: Any, theirs: Any) -> str:
    """Plays a scene with both programs; what is wrong, or ""."""
    wrong = []
    for exchange in scene.exchanges:
        asked = exchange.how != "alone"
        wrong.append(compare(exchange, replay(exchange, ours),
                             replay(exchange, theirs) if asked else None))
    return "\n".join(filter(None, wrong))


def rows(path: Path) -> List[Tuple[str, List[str]]]:
    """The rows of the tables in a page: name and the other cells."""
    return [(match[1], match[2].split(" | "))
            for match in re.finditer(r"^\| `([^`]+)` \| (.*) \|$",
                                     path.read_text("utf-8"), re.M)]
