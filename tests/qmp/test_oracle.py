# SPDX-License-Identifier: BSD-2-Clause
"""What tapferryd tells of itself has QEMU's form; transcripts/ has the rest."""

import json
from typing import Any, Dict, List


def redirector(**properties: Any) -> str:
    """An object-add of a redirector."""
    arguments = {"qom-type": "filter-redirector", "id": "r1", "netdev": "n0",
                 "outdev": "c1", **properties}
    return json.dumps({"execute": "object-add", "arguments": {
        key: value for key, value in arguments.items() if value is not None}})



def test_properties(pair: Any) -> None:
    """We have every property that QEMU's redirector has, of the same type."""
    daemon, oracle = pair
    ours, theirs = ([(entry["name"], entry["type"]) for entry in peer.command(
        "qom-list-properties", typename="filter-redirector")]
        for peer in pair)
    assert set(theirs) - {("insert", "string")} <= set(ours)
    assert "insert" in dict(ours)


def test_types(pair: Any) -> None:
    """Types are named and derived as QEMU's."""
    ours, theirs = ({entry["name"]: entry for entry in peer.command(
        "qom-list-types", implements="netfilter", abstract=True)}
        for peer in pair)
    for name, entry in ours.items():
        assert entry == theirs[name]


def schema(peer: Any) -> Dict[str, Any]:
    """The entries of query-qmp-schema by name; every type must be there."""
    entries = peer.command("query-qmp-schema")
    types = {entry["name"]: entry for entry in entries}
    assert len(types) == len(entries)
    for entry in entries:
        for key in ("arg-type", "ret-type", "element-type"):
            assert entry.get(key, "0") in types
        for member in entry.get("members", []) + entry.get("variants", []):
            assert member.get("type", "0") in types
    return types


def test_schema(pair: Any) -> None:
    """What a program finds in QEMU's schema it finds in ours."""
    daemon, oracle = pair
    ours, theirs = schema(daemon), schema(oracle)

    def members(types: Any, name: str) -> Any:
        return {member["name"]: "default" in member
                for member in types[name]["members"]}

    for entry in daemon.command("query-commands"):
        assert ours[entry["name"]]["meta-type"] == "command"
        if entry["name"] in theirs:
            args = [members(types, types[entry["name"]]["arg-type"])
                    for types in (ours, theirs)]
            assert args[0] == args[1], entry["name"]
    arguments = []
    for types in (ours, theirs):
        union = types[types["object-add"]["arg-type"]]
        assert union["tag"] == "qom-type"
        variant, = [variant for variant in union["variants"]
                    if variant["case"] == "filter-redirector"]
        arguments.append(members(types, variant["type"]))
        queue, = [member for member in types[variant["type"]]["members"]
                  if member["name"] == "queue"]
        assert types[queue["type"]]["values"] == ["all", "rx", "tx"]
    assert arguments[1].items() <= arguments[0].items()
    for name in ("STOP", "RESUME", "SHUTDOWN"):
        assert ours[name]["meta-type"] == theirs[name]["meta-type"]


def test_greeting(pair: Any) -> None:
    """The greeting has QEMU's form."""
    ours, theirs = (peer.greeting for peer in pair)
    assert ours["QMP"]["capabilities"] == theirs["QMP"]["capabilities"]
    assert set(ours["QMP"]["version"]) == set(theirs["QMP"]["version"])
    assert set(ours["QMP"]["version"]["qemu"]) == \
        set(theirs["QMP"]["version"]["qemu"])


def test_info_network(pair: Any) -> None:
    """Filters are printed as QEMU prints them."""
    def lines(peer: Any) -> List[Any]:
        for line in peer.hmp("info network").split("\r\n"):
            head, _colon, tail = line.partition(": ")
            yield head, set(tail.split(","))

    daemon, oracle = pair
    for peer in pair:
        assert peer.exchange(redirector())[0] == {"return": {}}
    ours, theirs = list(lines(daemon)), list(lines(oracle))
    for peer in pair:
        peer.command("object-del", id="r1")
    assert [head for head, _tail in ours] == [head for head, _tail in theirs]
    assert "index=0" in ours[0][1] and "type=tap" in ours[0][1]
    assert theirs[2][1] <= ours[2][1]
