# SPDX-License-Identifier: BSD-2-Clause
"""The same requests to tapferryd and to QEMU must get the same replies."""

import json
import re
from typing import Any, Dict, List

import pytest


def redirector(**properties: Any) -> str:
    """An object-add of a redirector."""
    arguments = {"qom-type": "filter-redirector", "id": "r1", "netdev": "n0",
                 "outdev": "c1", **properties}
    return json.dumps({"execute": "object-add", "arguments": {
        key: value for key, value in arguments.items() if value is not None}})


def execute(name: str, **arguments: Any) -> str:
    """Any command."""
    return json.dumps({"execute": name, "arguments": {
        key.replace("_", "-") if key in ("command_line", "cpu_index") else key:
        value for key, value in arguments.items()}})


def hmp(line: str) -> str:
    """A command of the human monitor."""
    return execute("human-monitor-command", command_line=line)


# One request each, or several; both peers are left as they were.
SAME: List[Any] = [
    # The protocol.
    "5", '"string"', "[]", "null", "{}", '{"execute": 5}',
    '{"execute": null, "id": 1}', '{"id": 7}', '{"bogus": 1, "id": [1, 2]}',
    '{"execute": "query-status", "bogus": 1}',
    '{"execute": "query-status", "arguments": []}',
    '{"execute": "query-status", "arguments": null}',
    '{"execute": "query-status", "arguments": {}}',
    '{"execute": "query-status", "arguments": {"a": 1}}',
    '{"execute": "query-status", "id": {"a": [1, 2.5, null, true]}}',
    '{"execute": "query-status", "id": null}',
    '{"execute": "query-status", "id": 9223372036854775807}',
    '{"execute": "query-status", "id": "\\u00e9\u00e9\\ud83d\\ude00"}',
    '{"execute": "query-status", "id": "\\u0000"}',
    "{'execute': 'query-status', 'id': 'it\\'s \"x\"'}",
    '{"execute": "query-\\u0073tatus"}',
    '{"exec-oob": "query-status"}', '{"execute": "qmp_capabilities"}',
    '{"execute": "nosuch"}', '{"execute": ""}', '{"execute": "Query-Status"}',
    '{"execute": "query-status"}{"execute": "query-status", "id": 2}',
    '{"execute": "query-status"} nonsense {"execute": "query-status"}',
    # JSON that is none.
    '{"execute": "x", "execute": "y"}', '{"execute": "query-status",}',
    "{,}", "}", "]", "[}", '{"a"}', '{"a":}', "{5: 1}", "[1 2]", "[1,]",
    "nonsense", "tru", "NULL", '{"a": NaN}', '{"id": NaN, "execute": "x"}',
    "// comment", "/* comment */", '"unterminated', "01", "-", "1.", ".5",
    "+5", "1e", "%s", '{"execute": %s}', '{"execute": "a\tb"}',
    '{"execute": "\\x"}', '{"execute": "query-status"]',
    '{"execute" "query-status"}', '{"execute": "query-status" "id": 1}',
    b'{"execute": "query-status"}\xff{"execute": "query-status"}',
    b'"abc\xff{"execute": "query-status"}', b"\xe9", b"\x01",
    b'{"execute": "\xed\xa0\x80"}', b'{"execute": "\xc3"}',
    # The run state.
    execute("stop") + execute("stop") + execute("query-status") +
    execute("cont") + execute("cont") + execute("query-status"),
    # object-add.
    execute("object-add"), execute("object-add", id="a"),
    execute("object-add", **{"qom-type": 7, "id": "a"}),
    execute("object-add", **{"qom-type": "nosuch", "id": "a"}),
    execute("object-add", **{"qom-type": "filter-redirector"}),
    redirector(netdev=None), redirector(netdev="nosuch"),
    redirector(netdev=5), redirector(netdev={"a": 1}), redirector(netdev=None,
                                                                  bogus=1),
    redirector(bogus=1), redirector(outdev=5), redirector(outdev=None),
    redirector(indev="c1"), redirector(outdev="nosuch"),
    redirector(queue="up"), redirector(queue=5), redirector(status="up"),
    redirector(status=True), redirector(position="up"),
    redirector(position="id=nosuch"), redirector(insert="up"),
    redirector(vnet_hdr_support="on"), redirector(id="1r"),
    redirector(id=""), redirector(id=5), redirector(id=None),
    redirector(id="a/b", bogus=1),
    # A life: made twice, found, used, deleted, gone.
    redirector() + redirector() + redirector(id="r2", outdev="c1") +
    redirector(id="r2", outdev=None, indev="c1") +
    redirector(id="r2", netdev="n1", outdev="c0", position="id=r1") +
    execute("qom-get", path="r1", property="type") +
    execute("qom-get", path="/objects/r1", property="netdev") +
    execute("qom-get", path="objects/r1", property="indev") +
    execute("qom-get", path="r1", property="status") +
    execute("qom-get", path="r1", property="queue") +
    execute("qom-get", path="r1", property="position") +
    execute("qom-get", path="r1", property="insert") +
    execute("qom-get", path="r1", property="vnet_hdr_support") +
    execute("qom-get", path="r1", property="nosuch") +
    execute("qom-get", path="/objects", property="r1") +
    execute("qom-set", path="r1", property="status", value="off") +
    execute("qom-get", path="r1", property="status") +
    execute("qom-set", path="r1", property="status", value="up") +
    execute("qom-set", path="r1", property="status", value=True) +
    execute("qom-set", path="r1", property="queue", value="up") +
    execute("qom-set", path="r1", property="queue", value="rx") +
    execute("qom-get", path="r1", property="queue") +
    execute("qom-set", path="r1", property="type", value="x") +
    execute("qom-set", path="r1", property="nosuch", value=1) +
    execute("qom-list", path="/objects") +
    execute("chardev-remove", id="c1") +
    hmp("qom-get r1 queue") + hmp("chardev-remove c1") +
    execute("object-del", id="r1") + execute("object-del", id="r1") +
    execute("qom-get", path="r1", property="type"),
    # object-del and the paths.
    execute("object-del"), execute("object-del", id=5),
    execute("object-del", id="nosuch"), execute("object-del", id="a", b=1),
    execute("qom-list"), execute("qom-list", path="nosuch"),
    execute("qom-list", path="/objects/nosuch"),
    execute("qom-list", path="/nosuch"), execute("qom-list", path=""),
    execute("qom-list", path="/objects/"), execute("qom-list", path=5),
    execute("qom-get", path="nosuch", property="a"),
    execute("qom-get", path="/", property="type"),
    execute("qom-get", path="/objects", property="nosuch"),
    execute("qom-get", path="/objects"),
    execute("qom-set", path="nosuch", property="a", value=1),
    execute("qom-set", path="nosuch", property="a"),
    execute("qom-list-types", implements="nosuch"),
    execute("qom-list-types", abstract=5),
    execute("qom-list-properties"),
    execute("qom-list-properties", typename="nosuch"),
    # Chardevs.
    execute("query-chardev", bogus=1),
    execute("chardev-add"), execute("chardev-add", id="x"),
    execute("chardev-add", id="x", backend=5),
    execute("chardev-add", id="x", backend={"data": {}}),
    execute("chardev-add", id="x", backend={"type": "socket"}),
    execute("chardev-add", id="x", backend={"type": "nosuch", "data": {}}),
    execute("chardev-add", id="c0", backend={"type": "socket", "data": {
        "addr": {"type": "unix", "data": {"path": "/nosuch/x"}}}}),
    execute("chardev-remove"), execute("chardev-remove", id="nosuch"),
    # Netdevs.
    execute("netdev_add"), execute("netdev_add", type="tap"),
    execute("netdev_add", id="x"), execute("netdev_add", type="nosuch",
                                           id="x"),
    execute("netdev_add", type=5, id="x"),
    execute("netdev_del"), execute("netdev_del", id="nosuch"),
    execute("netdev_del", id="c0"),
    # The human monitor.
    execute("human-monitor-command"),
    execute("human-monitor-command", command_line=5),
    execute("human-monitor-command", command_line="info status", cpu_index=0),
    execute("human-monitor-command", command_line="info status",
            cpu_index=0, bogus=1),
    hmp(""), hmp("nosuch"), hmp("info nosuch"), hmp("help nosuch"),
    hmp("info status"), hmp("  info   status  "), hmp("info status; stop"),
    hmp("object_add"), hmp("object_add nosuch"), hmp("object_del"),
    hmp("object_del nosuch"), hmp("object_del a b"), hmp("qom-get"),
    hmp("object_add filter-redirector,id=r1"),
    hmp("object_add filter-redirector,id=r1,netdev=n0"),
    hmp("object_add filter-redirector,id=r1,netdev=n0,outdev=nosuch"),
    hmp("object_add filter-redirector,id=r1,netdev=n0,outdev=c0,queue=tx") +
    hmp("object_del r1"),
    hmp("qom-get nosuch a"), hmp("qom-get a"), hmp("qom-list nosuch"),
    hmp("chardev-add"), hmp("chardev-remove nosuch"),
    hmp("netdev_del"), hmp("netdev_del nosuch"),
    hmp("stop x"), hmp("stop") + hmp("info status") + hmp("cont"),
    hmp("s") + hmp("c"), hmp("quit x"),
]

# Same class, other words, for a reason each.
OTHER_WORDS = {
    # More endpoints to choose from.
    redirector(outdev=None),
    hmp("object_add filter-redirector,id=r1,netdev=n0"),
    # QEMU's redirector says IN or OUT in front of the device.
    redirector(outdev="nosuch"),
    hmp("object_add filter-redirector,id=r1,netdev=n0,outdev=nosuch"),
}


def shown(replies: List[Dict[str, Any]]) -> List[Any]:
    """What has to be equal of replies."""
    for reply in replies:
        reply.pop("timestamp", None)
        # The bytes of a stray token are repeated as far as they go.
        error = reply.get("error")
        if error and "stray" in error["desc"]:
            error["desc"] = re.sub(r"stray '.*", "stray", error["desc"],
                                   flags=re.S)
    return replies


@pytest.mark.parametrize("request_", SAME,
                         ids=lambda request: repr(request)[:60])
def test_same_replies(pair: Any, request_: Any) -> None:
    """Class and words of errors, structure and values of returns."""
    daemon, oracle = pair
    ours = shown(daemon.exchange(request_))
    theirs = shown(oracle.exchange(request_))
    if request_ in OTHER_WORDS:
        for reply in ours + theirs:
            reply.get("error", {}).pop("desc", None)
            if isinstance(reply.get("return"), str):
                reply["return"] = reply["return"][:6]
    assert ours == theirs


def test_query_chardev(pair: Any) -> None:
    """Labels, file names and frontends."""
    def chardevs(peer: Any) -> Any:
        return sorted((entry["label"], entry["frontend-open"],
                       re.sub(r"unix:/.*/", "unix:/", entry["filename"]))
                      for entry in peer.command("query-chardev")
                      if entry["label"] in ("c0", "c1"))

    daemon, oracle = pair
    assert chardevs(daemon) == chardevs(oracle)


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
