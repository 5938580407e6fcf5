# SPDX-License-Identifier: BSD-2-Clause
"""Monitors: transports, several clients, events, run state, the objects."""

import json
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from lab.qmp import Qmp
from lib.peer import Client, Peer, connect, in_namespace, needs_root, tapferryd

COMMANDS = """qmp_capabilities query-version query-commands query-status stop
    cont quit object-add object-del qom-list qom-get qom-set qom-list-types
    qom-list-properties chardev-add chardev-remove chardev-change query-chardev
    query-chardev-backends netdev_add netdev_del query-netfilter-stats
    query-switchover query-qmp-schema human-monitor-command""".split()


def unix_chardev(path: Path) -> Any:
    """The backend of a chardev that listens at @path."""
    return {"type": "socket", "data": {
        "addr": {"type": "unix", "data": {"path": str(path)}},
        "server": True, "wait": False}}


def test_commands(daemon: Peer) -> None:
    """All that the contract names, and they are listed."""
    names = {entry["name"] for entry in daemon.command("query-commands")}
    assert names >= set(COMMANDS)


def test_version(daemon: Peer) -> None:
    """Greeting and query-version agree."""
    assert daemon.command("query-version") == daemon.greeting["QMP"]["version"]
    assert daemon.greeting["QMP"]["capabilities"] == ["oob"]


def test_run_state(daemon: Peer) -> None:
    """Events come on a change, and only then."""
    now = time.time()
    messages = daemon.exchange('{"execute": "stop"}{"execute": "stop"}'
                               '{"execute": "cont"}{"execute": "cont"}')
    assert [message.get("event", "reply") for message in messages] == \
        ["STOP", "reply", "reply", "RESUME", "reply", "reply"]
    stamp = messages[0]["timestamp"]
    assert abs(stamp["seconds"] + stamp["microseconds"] / 1e6 - now) < 5
    assert set(messages[0]) == {"timestamp", "event"}


def test_prelaunch() -> None:
    """-S starts stopped."""
    with Peer([tapferryd(), "-S", "-qmp", "stdio"]) as peer:
        assert peer.command("query-status")["status"] == "prelaunch"
        assert peer.hmp("info status") == "VM status: paused (prelaunch)\r\n"
        peer.command("stop")
        assert peer.command("query-status")["status"] == "prelaunch"
        peer.command("cont")
        assert peer.command("query-status") == {
            "status": "running", "singlestep": False, "running": True}
        peer.command("stop")
        assert peer.command("query-status")["status"] == "paused"


def test_quit(daemon: Peer) -> None:
    """The reply comes, then the event, then the end."""
    daemon.write('{"execute": "quit", "id": 1}')
    assert daemon.read() == {"return": {}, "id": 1}
    event = daemon.read()
    assert event["event"] == "SHUTDOWN"
    assert event["data"] == {"guest": False, "reason": "host-qmp-quit"}
    assert daemon.line() == b""
    assert daemon.wait() == 0
    daemon.process.poll = lambda: None  # type: ignore # it was meant to


def test_several_clients(tmp_path: Path) -> None:
    """Each has its own conversation; all get the events."""
    path = tmp_path / "qmp"
    with Peer([tapferryd(), "-qmp", "stdio", "-qmp",
               f"unix:{path},server=on,wait=off"]) as peer:
        with Client(path) as one, Client(path) as two, \
                Client(path, negotiate=False) as three:
            assert one.request("nosuch")["error"]["class"] == "CommandNotFound"
            peer.command("stop")
            assert one.read()["event"] == "STOP"
            assert two.read()["event"] == "STOP"
            # Not negotiated, so it hears nothing but its own error.
            assert "negotiation" in three.request(
                "query-status")["error"]["desc"]
            assert two.command("query-status")["status"] == "paused"
        with Client(path) as four:
            assert four.command("query-status")["status"] == "paused"
    assert not path.exists()


def test_lab_client(tmp_path: Path) -> None:
    """An ordinary threaded client."""
    path = tmp_path / "qmp"
    with Peer([tapferryd(), "-qmp", "stdio", "-qmp",
               f"unix:{path},server=on,wait=off"]):
        client = Qmp(path)
        client.command("stop")
        client.wait_event("STOP", 5)
        assert client.command("query-status")["status"] == "paused"
        client.close()


def test_tcp() -> None:
    """A TCP monitor."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Peer([tapferryd(), "-qmp", "stdio", "-qmp",
               f"tcp:127.0.0.1:{port},server=on,wait=off"]):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(10)
            assert b'"QMP"' in client.recv(4096)


def test_client_mode(tmp_path: Path) -> None:
    """The daemon connects to a monitor's client that listens."""
    path = tmp_path / "qmp"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with Peer([tapferryd(), "-qmp", "stdio", "-qmp", f"unix:{path}"]):
            listener.settimeout(10)
            connection, _address = listener.accept()
            connection.settimeout(10)
            assert b'"QMP"' in connection.recv(4096)
            connection.close()


def test_wait(tmp_path: Path) -> None:
    """A server waits for its first client, unless told not to."""
    path = tmp_path / "qmp"
    process = subprocess.Popen([tapferryd(), "-qmp", f"unix:{path},server=on",
                                "-qmp", f"unix:{path}2,server=on,wait=off"],
                               stderr=subprocess.DEVNULL)
    try:
        connection = connect(path)
        assert b'"QMP"' in connection.recv(4096)
        connect(tmp_path / "qmp2").close()
        connection.close()
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()


def test_half_closed(tmp_path: Path) -> None:
    """A client that says all it has to say and then only listens."""
    path = tmp_path / "qmp"
    with Peer([tapferryd(), "-qmp", "stdio", "-qmp",
               f"unix:{path},server=on,wait=off"]):
        client = connect(path)
        client.sendall(b'{"execute": "qmp_capabilities"}'
                       b'{"execute": "query-status", "id": 5}')
        client.shutdown(socket.SHUT_WR)
        text = b""
        while (chunk := client.recv(4096)):
            text += chunk
        assert json.loads(text.splitlines()[2])["id"] == 5
        client.close()


@pytest.mark.parametrize("options", [
    ["-qmp", "chardev:m0"], ["-mon", "chardev=m0,mode=control"],
    ["-mon", "m0,mode=control,pretty=off"]])
def test_chardev(tmp_path: Path, options: Any) -> None:
    """A monitor on a chardev, one client after the other."""
    path = tmp_path / "m0"
    with Peer([tapferryd(), "-qmp", "stdio", "-chardev",
               f"socket,id=m0,path={path},server=on,wait=off",
               *options]) as peer:
        for _round in range(3):
            with Client(path) as client:
                assert client.command("query-status")["running"] is True
                reply = client.request("chardev-remove", id="m0")
                assert reply["error"]["desc"] == "Chardev 'm0' is busy"
        assert peer.command("query-status")["running"] is True


def test_pretty(tmp_path: Path) -> None:
    """pretty=on spreads a reply over several lines."""
    path = tmp_path / "m0"
    with Peer([tapferryd(), "-qmp", "stdio", "-chardev",
               f"socket,id=m0,path={path},server=on,wait=off", "-mon",
               "chardev=m0,mode=control,pretty=on"]):
        client = connect(path)
        text = b""
        while not text.endswith(b"}\r\n"):
            text += client.recv(4096)
        assert text.startswith(b'{\n    "QMP": {\n')
        client.close()


def test_chardev_change(daemon: Peer, tmp_path: Path) -> None:
    """A chardev that nobody uses is replaced, or all stays as it was."""
    def backend(name: str) -> Any:
        return unix_chardev(tmp_path / name)

    daemon.command("chardev-add", id="c0", backend=backend("a"))
    reply = daemon.request("chardev-change", id="nosuch", backend=backend("b"))
    assert reply["error"]["desc"] == "Chardev 'nosuch' does not exist"
    assert "error" in daemon.request("chardev-change", id="c0",
                                     backend=backend("nosuch/b"))
    assert (tmp_path / "a").exists()
    daemon.command("chardev-change", id="c0", backend=backend("b"))
    assert not (tmp_path / "a").exists()
    entry, = daemon.chardevs()
    assert entry["label"] == "c0" and entry["filename"].endswith("b,server=on")


def test_chardev_change_used(network: Peer, tmp_path: Path) -> None:
    """One that a filter uses is not."""
    network.command("object-add", **{
        "qom-type": "filter-redirector", "id": "r0", "netdev": "n0",
        "outdev": "c0"})
    reply = network.request("chardev-change", id="c0",
                            backend=unix_chardev(tmp_path / "x"))
    assert reply["error"]["desc"] == \
        "Chardev user does not support chardev hotswap"


def test_stdin_file(tmp_path: Path) -> None:
    """Commands from a regular file; its end ends nothing."""
    commands = tmp_path / "commands"
    commands.write_text('{"execute": "qmp_capabilities"}\n'
                        '{"execute": "query-status", "id": 9}\n'
                        '{"execute": "quit"}')
    with open(commands, "rb") as file:
        done = subprocess.run([tapferryd(), "-qmp", "stdio"], stdin=file,
                              stdout=subprocess.PIPE, check=True, timeout=20)
    assert b'"id": 9' in done.stdout


def test_human_monitor(tmp_path: Path) -> None:
    """Banner, prompt, commands, end of the connection."""
    path = tmp_path / "hmp"
    with Peer([tapferryd(), "-qmp", "stdio", "-monitor",
               f"unix:{path},server=on,wait=off"]):
        client = connect(path)
        file = client.makefile("rb")
        assert re.fullmatch(rb"tapferry [\d.]+ monitor - type 'help' for more "
                            rb"information\r\n", file.readline())
        client.sendall(b"info status\nnosuch\r\nstop\ninfo status\n")
        assert file.readline() == b"(tapferry) VM status: running\r\n"
        assert file.readline() == b"(tapferry) unknown command: 'nosuch'\r\n"
        assert file.readline() == \
            b"(tapferry) (tapferry) VM status: paused\r\n"
        client.close()


def test_objects(network: Peer, tmp_path: Path) -> None:
    """A life of netdev, chardev and filter, by QMP alone."""
    network.command("chardev-add", id="c2",
                    backend=unix_chardev(tmp_path / "c2"))
    reply = network.request("chardev-add", id="c2",
                            backend=unix_chardev(tmp_path / "c2"))
    assert reply["error"]["class"] == "GenericError"
    network.command("object-add", **{
        "qom-type": "filter-redirector", "id": "r0", "netdev": "n0",
        "outdev": "c2"})
    entry, = network.command("query-netfilter-stats")
    assert (entry["name"], entry["netdev"], entry["type"]) == \
        ("r0", "n0", "filter-redirector")
    assert [counter["name"] for counter in entry["counters"]][:4] == \
        ["indev", "outdev", "in_netdev", "out_netdev"]
    assert network.command("query-netfilter-stats", name="r0") == [entry]
    reply = network.request("query-netfilter-stats", name="nosuch")
    assert reply["error"]["class"] == "GenericError"
    lines = network.hmp("info netfilter-stats").split("\r\n")
    assert lines[:5] == ["r0: netdev=n0 type=filter-redirector",
                         "  tx: 0 packets, 0 bytes",
                         "  rx: 0 packets, 0 bytes",
                         "  indev: 0 packets, 0 bytes",
                         "  outdev: 0 packets, 0 bytes"]
    network.command("object-del", id="r0")
    network.command("chardev-remove", id="c2")
    assert network.command("query-netfilter-stats") == []


def test_netdev_del_takes_filters(network: Peer) -> None:
    """With the netdev go its filters; all names are free again."""
    for _round in range(3):
        for name, chardev in (("r0", "c0"), ("r1", "c1")):
            network.command("object-add", **{
                "qom-type": "filter-redirector", "id": name, "netdev": "n0",
                "outdev": chardev})
        network.command("netdev_del", id="n0")
        names = {entry["name"] for entry in
                 network.command("qom-list", path="/objects")}
        assert not names & {"r0", "r1"}
        reply = network.request("object-del", id="r0")
        assert reply["error"]["desc"] == "object 'r0' not found"
        network.command("netdev_add", type="tap", id="n0", ifname="v0")


def test_failed_add_leaves_no_trace(network: Peer) -> None:
    """The name and the chardevs are free after a failure."""
    good = {"qom-type": "filter-redirector", "id": "r0", "netdev": "n0",
            "outdev": "c0"}
    for wrong in ({"indev": "nosuch"}, {"netdev": "nosuch"}, {"indev": "c0"},
                  {"position": "id=nosuch"}, {"status": "up"}, {"x": 1},
                  {"queue": "up"}, {"in_netdev": "nosuch"}):
        assert "error" in network.request("object-add", **{**good, **wrong})
        assert network.command("query-netfilter-stats") == []
        assert [entry["frontend-open"] for entry in
                network.chardevs()] == [False, False]
    network.command("object-add", **good)


def test_used_vm_stays() -> None:
    """What others hold is not deleted."""
    needs_root()
    with Peer(in_namespace(
            tapferryd(), "-qmp", "stdio", "-netdev",
            "tap,id=n0,ifname=v0,vm=vm0", "-object",
            "vm-qmp,id=vm0,addr=unix:/nosuch/monitor")) as peer:
        reply = peer.request("object-del", id="vm0")
        assert reply["error"]["desc"] == \
            "object 'vm0' is in use, can not be deleted"
        peer.command("netdev_del", id="n0")
        peer.command("object-del", id="vm0")


def test_paths(network: Peer) -> None:
    """Objects, chardevs and netdevs are found by path."""
    network.command("object-add", **{
        "qom-type": "filter-redirector", "id": "r0", "netdev": "n0",
        "outdev": "c0"})
    names = [entry["name"] for entry in network.command("qom-list", path="/")]
    assert names == ["type", "objects", "chardevs", "netdevs"]
    assert {"name": "n0", "type": "child<netdev-tap>"} in \
        network.command("qom-list", path="/netdevs")
    assert network.command("qom-get", path="n0", property="ifname") == "v0"
    assert network.command("qom-get", path="c0",
                           property="type") == "chardev-socket"
    # The same name twice is as good as none.
    network.command("object-add", **{
        "qom-type": "filter-redirector", "id": "c1", "netdev": "n0",
        "outdev": "c1"})
    reply = network.request("qom-get", path="c1", property="type")
    assert reply["error"] == {"class": "DeviceNotFound",
                              "desc": "Device 'c1' not found"}
    assert network.hmp("info qom-tree").split("\r\n")[:3] == [
        "/ (container)", "  /objects (container)",
        "    /r0 (filter-redirector)"]
