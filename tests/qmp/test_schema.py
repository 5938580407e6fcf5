# SPDX-License-Identifier: BSD-2-Clause
"""query-qmp-schema says what commands take and return, and events carry."""

import json
from pathlib import Path
from typing import Any, Dict, List

import pytest

from lib.peer import Peer, tapferryd
from lib.schema import Schema

# Commands that need arguments to answer at all.
ARGUMENTS: Dict[str, Dict[str, Any]] = {
    "human-monitor-command": {"command-line": "info version"},
    "qom-list": {"path": "/objects"},
    "qom-get": {"path": "/objects/f0", "property": "interval"},
    "qom-set": {"path": "/objects/f0", "property": "interval", "value": 9},
    "qom-list-properties": {"typename": "filter-mirror"},
    "chardev-add": {"id": "new", "backend": {"type": "null", "data": {}}},
    "chardev-change": {"id": "new", "backend": {"type": "null", "data": {}}},
    "chardev-remove": {"id": "new"},
    "ringbuf-read": {"device": "r0", "size": 10},
    "ringbuf-write": {"device": "r0", "data": "x"},
    "object-add": {"qom-type": "filter-buffer", "id": "f1", "netdev": "n0",
                   "interval": 1},
    "object-del": {"id": "f1"},
    "netdev_add": {"type": "dgram", "id": "n9", "local.type": "inet",
                   "local.host": "127.0.0.1", "local.port": "0",
                   "remote.type": "inet", "remote.host": "127.0.0.1",
                   "remote.port": "1"},
    "netdev_del": {"id": "n9"},
}
# A session's own, and what would end it.
NOT_NOW = {"qmp_capabilities", "quit"}


def members(schema: Schema, name: str) -> Dict[str, bool]:
    """Members and whether they are optional."""
    return {key: "default" in member
            for key, member in schema.members(name).items()}


def test_closed(daemon: Peer) -> None:
    """Each type that is named is there, and each that is there is used."""
    schema = Schema(daemon.command("query-qmp-schema"))
    for entry in schema.types.values():
        for name in schema.references(entry):
            assert name in schema.types, f"{entry['name']} needs {name}"
    reachable = set(schema.reachable())
    unused = {name for name, entry in schema.types.items()
              if entry["meta-type"] != "builtin" and name not in reachable}
    # Lists of anything belong to the builtins.
    assert unused <= {"[any]", "str-or-int"}


def test_replies(network: Peer) -> None:
    """Every command returns what the schema says."""
    network.command("chardev-add", id="r0",
                    backend={"type": "ringbuf", "data": {"size": 1024}})
    network.command("object-add", **{"qom-type": "filter-buffer", "id": "f0"},
                    netdev="n0", interval=1000)
    network.command("object-add", **{"qom-type": "filter-redirector"},
                    id="f2", netdev="n0", in_netdev="n0", outdev="c0",
                    capture="undelivered")
    # So that query-switchover has something to tell.
    network.command("stop")
    schema = Schema(network.command("query-qmp-schema"))
    names = [entry["name"] for entry in network.command("query-commands")]
    assert set(ARGUMENTS) <= set(names)
    first = [name for name in ARGUMENTS if name in names]
    rest = [name for name in names if name not in ARGUMENTS]
    for name in [name for name in first + rest if name not in NOT_NOW]:
        entry = schema.types[name]
        arguments = ARGUMENTS.get(name, {})
        reply = network.command(name, **arguments)
        schema.check(entry["ret-type"], reply, name)
        for key in schema.members(entry["arg-type"]):
            assert key in arguments or name not in ARGUMENTS or \
                "default" in schema.members(entry["arg-type"])[key]
    assert network.command("query-switchover")


def events_of(peer: Peer, n: int, execute: str,
              **arguments: Any) -> List[Dict[str, Any]]:
    """Executes a command and waits for @n events."""
    peer.write(json.dumps({"execute": execute, "arguments": arguments}))
    events = []
    while len(events) < n:
        message = peer.read()
        assert "error" not in message
        if "event" in message:
            events.append(message)
    return events


def test_events(tmp_path: Path) -> None:
    """Events carry what the schema says."""
    path = str(tmp_path / "stream")
    with Peer([tapferryd(), "-qmp", "stdio", "-netdev",
               f"stream,id=s0,server=on,addr.type=unix,addr.path={path}"]
              ) as peer:
        schema = Schema(peer.command("query-qmp-schema"))
        events = events_of(peer, 2, "netdev_add", **{
            "type": "stream", "id": "s1", "addr.type": "unix",
            "addr.path": path})
        events += events_of(peer, 1, "netdev_del", id="s1")
        for execute in ("stop", "cont", "quit"):
            events += events_of(peer, 1, execute)
    assert [event["event"] for event in events] == \
        ["NETDEV_STREAM_CONNECTED"] * 2 + \
        ["NETDEV_STREAM_DISCONNECTED", "STOP", "RESUME", "SHUTDOWN"]
    for event in events:
        schema.check(schema.types[event["event"]]["arg-type"],
                     event.get("data", {}), event["event"])
        assert set(event["timestamp"]) == {"seconds", "microseconds"}


@pytest.mark.parametrize("what", ["arg-type", "ret-type"])
def test_as_qemu(pair: Any, what: str) -> None:
    """Commands of both take and return the same shapes."""
    ours, theirs = (Schema(peer.command("query-qmp-schema"))
                    for peer in pair)
    compared = 0
    for name, entry in ours.types.items():
        if entry["meta-type"] != "command" or name not in theirs.types:
            continue
        mine, other = entry[what], theirs.types[name][what]
        kinds = [schema.types[kind]["meta-type"]
                 for schema, kind in ((ours, mine), (theirs, other))]
        assert kinds[0] == kinds[1], name
        if kinds[0] == "array":
            mine = ours.types[mine]["element-type"]
            other = theirs.types[other]["element-type"]
        if ours.types[mine]["meta-type"] == "object":
            assert members(ours, mine) == members(theirs, other), name
            compared += 1
    assert compared > 10
