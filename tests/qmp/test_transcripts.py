# SPDX-License-Identifier: BSD-2-Clause
"""tapferryd and QEMU give the same replies to the same transcripts, and
docs/compatibility.md names every difference."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest

from lib import transcript
from lib.peer import TOP, Peer, bare_programs
from lib.transcript import Scene

SCENES = [scene for path in sorted(
    (Path(__file__).parent / "transcripts").glob("*.txt"))
    for scene in transcript.read(path)]
ROWS = transcript.rows(TOP / "docs" / "compatibility.md")


def picked(own: bool, mark: str = "") -> Any:
    """The scenes with programs of their own or without, as parameters."""
    return pytest.mark.parametrize("scene", [
        scene for scene in SCENES if (scene.options is not None) == own and
        (scene.exchanges[0].mark == "$") == (mark == "$")], ids=str)


def things(peer: Any) -> List[Any]:
    """What is in a program."""
    return [peer.command("qom-list", path="/objects"),
            peer.command("query-chardev"), peer.command("query-status"),
            [line for line in peer.hmp("info network").split("\r\n")
             if line[:2] not in ("n0", "n1")]]


@picked(own=False)
def test_scene(pair: Any, scene: Scene) -> None:
    """Every exchange as its transcript says, and nothing is left behind."""
    before = [things(peer) for peer in pair]
    wrong = transcript.play(scene, *pair)
    assert not wrong, wrong
    assert [things(peer) for peer in pair] == before


@picked(own=True)
def test_own_programs(scene: Scene, tmp_path: Path) -> None:
    """Likewise with programs that nobody has spoken to yet."""
    with ExitStack() as stack:
        peers = []
        for name, argv in bare_programs().items():
            (tmp_path / name).mkdir()
            peers.append(stack.enter_context(Peer(
                [*argv, *(scene.options or []), "-qmp", "stdio"],
                negotiate=False, cwd=tmp_path / name)))
        wrong = transcript.play(scene, *peers)
    assert not wrong, wrong


def test_difference_is_seen(pair: Any) -> None:
    """The comparison itself: what differs, and what does so no more."""
    scene = Scene("", "", None, [])
    for mark, text in ((".", "query-netfilter-stats"),
                       (".", "query-status"), ("=", "class no-row"),
                       (".", "query-commands"), ("=", "own no-row")):
        scene = transcript.add_line(scene, mark, text)
    wrong = transcript.play(scene, *pair)
    assert wrong.count("tapferry:") == 2
    assert wrong.count("no difference any more:") == 1


@picked(own=False, mark="$")
def test_command_line(scene: Scene, run: Any, tmp_path: Path) -> None:
    """What is refused on the command line, and how."""
    wrong = []
    for exchange in scene.exchanges:
        replies = []
        for argv in bare_programs().values():
            done = run(*argv, *exchange.text.split(), cwd=tmp_path)
            name = Path(argv[0]).name
            replies.append([{"status": done.returncode, "stderr":
                             done.stderr.replace(f"{name}: ", "")}])
        wrong.append(transcript.compare(exchange, *replies))
    assert not any(wrong), "\n".join(filter(None, wrong))


def test_every_difference_has_a_row() -> None:
    """And every row an exchange that shows it."""
    shown = {exchange.row for scene in SCENES
             for exchange in scene.exchanges} - {""}
    named = [name for name, _cells in ROWS]
    assert sorted(set(named)) == sorted(named), "two rows of the same name"
    assert sorted(named) == sorted(shown)
    for name, cells in ROWS:
        assert len(cells) == 3 and all(cells), f"{name}: a cell is empty"


def names(peer: Any) -> Dict[str, Set[str]]:
    """What can be said and made, by kind."""
    schema = {entry["name"]: entry
              for entry in peer.command("query-qmp-schema")}

    def types(command: str, tag: str) -> Set[str]:
        member, = [member for member in
                   schema[schema[command]["arg-type"]]["members"]
                   if member["name"] == tag]
        return {entry["name"] for entry in schema[member["type"]]["members"]}

    return {
        "command": {entry["name"]
                    for entry in peer.command("query-commands")},
        "object": types("object-add", "qom-type"),
        "netdev": types("netdev_add", "type"),
        "chardev": {entry["name"]
                    for entry in peer.command("query-chardev-backends")},
        "event": {name for name, entry in schema.items()
                  if entry["meta-type"] == "event"},
    }


def test_more_than_qemu(pair: Any) -> None:
    """The page names each command, type and event that QEMU lacks."""
    ours, theirs = map(names, pair)
    more = {f"{kind} {name}" for kind, found in ours.items()
            for name in found - theirs[kind]}
    page = (TOP / "docs" / "compatibility.md").read_text("utf-8")
    listed = page.partition("## What tapferry has more")[2]
    for name in more:
        assert f"`{name.partition(' ')[2]}`" in listed, name
