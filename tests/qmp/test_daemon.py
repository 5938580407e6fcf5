# SPDX-License-Identifier: BSD-2-Clause
"""The daemon as a process: options, signals, background, pid file."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from lib.peer import (Client, Peer, chardevs, in_namespace, needs_root,
                      tapferryd)


@pytest.mark.parametrize("options, part", [
    (["-help"], "-readconfig"), (["--help"], "usage: tapferryd"),
    (["-version"], "tapferryd 0."), (["--version"], "tapferryd 0."),
    (["-object", "help"], "filter-redirector"),
    (["-object", "filter-redirector,help"], "outdev=<string>"),
    (["-netdev", "help"], "tap"), (["-netdev", "tap,help"], "ifname="),
    (["-chardev", "help"], "socket"), (["-chardev", "socket,help"], "path=")])
def test_help(run: Any, options: Any, part: str) -> None:
    """Is printed, and nothing else is done."""
    done = run(tapferryd(), *options)
    assert done.returncode == 0
    assert part in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("options, error", [
    (["-bogus"], "-bogus: invalid option"),
    (["stray"], "stray: invalid option"),
    (["-object"], "-object: requires an argument"),
    (["-object", "filter-redirector,id=a"],
     "-object filter-redirector,id=a: Parameter 'netdev' is missing"),
    (["-object", "nosuch,id=a"],
     "-object nosuch,id=a: Parameter 'qom-type' does not accept value "
     "'nosuch'"),
    (["-object", "filter-redirector,id=a,netdev=n,bogus=1"],
     "-object filter-redirector,id=a,netdev=n,bogus=1: Invalid parameter "
     "'bogus'"),
    (["-object", '{"qom-type": "filter-redirector", "id": "a", "netdev": 1}'],
     '-object {"qom-type": "filter-redirector", "id": "a", "netdev": 1}: '
     "Invalid parameter type for 'netdev', expected: string"),
    (["-netdev", "tap"], "-netdev tap: Parameter 'id' is missing"),
    (["-netdev", "tap,id=n0,ifname=nosuch0"],
     "-netdev tap,id=n0,ifname=nosuch0: "),
    (["-chardev", "socket,id=c,path=/nosuch/c,server=on,wait=off"],
     "-chardev socket,id=c,path=/nosuch/c,server=on,wait=off: "),
    (["-qmp", "unix:/nosuch/qmp,server=on,wait=off"],
     "-qmp unix:/nosuch/qmp,server=on,wait=off: "),
    (["-qmp", "unix:/nosuch/qmp"], "-qmp unix:/nosuch/qmp: "),
    (["-mon", "chardev=nosuch"], "-mon chardev=nosuch: "),
    (["-qmp", "stdio", "-monitor", "stdio"], "-monitor stdio: "),
    (["-D", "/nosuch/log"], ""), (["-pidfile", "/nosuch/pid"], ""),
    (["-readconfig", "/nosuch/config"], "-readconfig /nosuch/config: "),
    (["-daemonize", "-qmp", "stdio"],
     "-qmp stdio: cannot use stdio with -daemonize"),
    (["-daemonize", "-netdev", "tap,id=n0,ifname=nosuch0"],
     "-netdev tap,id=n0,ifname=nosuch0: "),
    (["-object", "a\nb"], "-object a b: ")])
def test_bad_option(run: Any, options: Any, error: str) -> None:
    """One clear line, exit status 1."""
    done = run(tapferryd(), *options)
    assert done.returncode == 1
    assert done.stderr.startswith("tapferryd: " + error), done.stderr
    assert done.stderr.count("\n") == 1


def test_schema(run: Any) -> None:
    """Types, properties, commands and options as JSON."""
    schema = json.loads(run(tapferryd(), "-dump-schema").stdout)
    types = {entry["name"]: entry for entry in schema["types"]["objects"]}
    rows = {row["name"]: row for row in
            types["filter-redirector"]["properties"]}
    assert rows["netdev"]["required"] is True
    assert rows["queue"]["values"] == ["all", "rx", "tx"]
    assert rows["queue"]["default"] == "all"
    for kind in schema["types"].values():
        for entry in kind:
            assert entry["doc"], entry["name"]
            for row in entry["properties"]:
                assert row["doc"], (entry["name"], row["name"])
    assert {"stop", "cont", "qom-set"} <= {
        command["name"] for command in schema["commands"]}
    assert {"object", "qmp", "S"} <= {
        option["name"] for option in schema["options"]}


def test_order_does_not_matter(tmp_path: Path) -> None:
    """Filters may come before what they name; all is there at once."""
    needs_root()
    with Peer(in_namespace(
            tapferryd(), "-qmp", "stdio",
            "-object", "filter-redirector,id=r0,netdev=n0,outdev=c0",
            "--object", json.dumps({
                "qom-type": "filter-redirector", "id": "r1", "netdev": "n0",
                "indev": "c1", "queue": "tx", "vnet_hdr_support": True}),
            "--netdev", json.dumps({"type": "tap", "id": "n0",
                                    "ifname": "v0", "vm": "vm0"}),
            *chardevs(tmp_path), "-object",
            "vm-qmp,id=vm0,addr=unix:/nosuch/m")) as peer:
        assert [entry["name"] for entry in
                peer.command("query-netfilter-stats")] == ["r0", "r1"]
        assert peer.command("qom-get", path="r1", property="queue") == "tx"


def test_chardev_json(tmp_path: Path) -> None:
    """A chardev in the two JSON forms: flat, and that of chardev-add."""
    nested = {"id": "c1", "backend": {"type": "socket", "data": {
        "addr": {"type": "unix", "data": {"path": f"{tmp_path}/c1"}},
        "server": True, "wait": False}}}
    flat = {"backend": "socket", "id": "c2", "path": f"{tmp_path}/c2",
            "server": True, "wait": False}
    with Peer([tapferryd(), "-qmp", "stdio", "-chardev", json.dumps(nested),
               "-chardev", json.dumps(flat)]) as peer:
        assert [entry["label"]
                for entry in peer.chardevs()] == ["c1", "c2"]


def test_read_config(tmp_path: Path, run: Any) -> None:
    """Commands from a file, before the monitors answer."""
    config = tmp_path / "config"
    config.write_text(json.dumps([
        {"execute": "chardev-add", "arguments": {
            "id": "c0", "backend": {"type": "socket", "data": {
                "addr": {"type": "unix",
                         "data": {"path": f"{tmp_path}/c0"}},
                "server": True, "wait": False}}}},
        {"execute": "stop"}]))
    with Peer([tapferryd(), "-readconfig", str(config), "-qmp",
               "stdio"]) as peer:
        assert peer.command("query-status")["status"] == "paused"
        assert len(peer.chardevs()) == 1
    for text, error in (
            ("[", ": line 1: "), ("{}", ": must hold an array of commands"),
            ('[{"execute": "stop"}, {"execute": "nosuch"}]',
             ": command 2 (nosuch): The command nosuch has not been found"),
            ('[{"execute": 5}]', ": command 1: "),
            ('[{"execute": "stop", "bogus": 1}]', ": command 1: "),
            ('[{"execute": "stop", "arguments": 5}]', ": command 1: ")):
        config.write_text(text)
        done = run(tapferryd(), "-readconfig", str(config))
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"tapferryd: -readconfig {config}{error}"), done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(number: int, tmp_path: Path) -> None:
    """End it cleanly; the clients are told."""
    pidfile = tmp_path / "pid"
    with Peer([tapferryd(), "-qmp", "stdio", "-pidfile",
               str(pidfile)]) as peer:
        assert int(pidfile.read_text()) == peer.process.pid
        peer.process.send_signal(number)
        event = peer.read()
        assert event["event"] == "SHUTDOWN"
        assert event["data"] == {"guest": False, "reason": "host-signal"}
        assert peer.wait() == 0
    assert not pidfile.exists()


def test_signal_while_waiting(tmp_path: Path) -> None:
    """A daemon that waits for a chardev's peer can be ended, too."""
    pidfile = tmp_path / "pid"
    process = subprocess.Popen([
        tapferryd(), "-pidfile", str(pidfile), "-chardev",
        f"socket,id=c0,path={tmp_path}/c0,server=on,wait=on"],
        stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not (tmp_path / "c0").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.terminate()
        assert process.wait(10) == 0
        assert not pidfile.exists()
    finally:
        process.kill()


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_closed_descriptors(tmp_path: Path, closed: Any) -> None:
    """No file gets the number of standard error, nor log lines with it."""
    path = tmp_path / "qmp"
    argv = [str(tapferryd()), "-qmp", f"unix:{path},server=on,wait=off",
            "-pidfile", "pid", "-object", "vm-qmp,id=vm0,addr=unix:nosuch"]
    # pylint: disable-next=consider-using-with
    child = subprocess.Popen(argv, cwd=tmp_path,
                             preexec_fn=lambda: [*map(os.close, closed)])
    with Client(path) as client:
        client.command("query-status")
        assert (tmp_path / "pid").read_text() == f"{child.pid}\n"
        client.command("quit")
    assert child.wait(30) == 0


def test_schema_is_lost() -> None:
    """What can't be printed is an error."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([tapferryd(), "-dump-schema"], check=False,
                              stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=30)
    assert done.stderr == "tapferryd: can not write the output\n"
    assert done.returncode == 1


def test_reopen_log(tmp_path: Path) -> None:
    """SIGHUP: the log file goes on under its name."""
    log = tmp_path / "log"
    with Peer([tapferryd(), "-qmp", "stdio", "-D", str(log)]) as peer:
        assert log.exists()
        log.rename(tmp_path / "log.1")
        peer.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 10
        while not log.exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert log.exists()
        assert peer.command("query-status")["running"] is True


def test_pidfile_is_locked(tmp_path: Path, run: Any) -> None:
    """Two daemons never share one."""
    pidfile = tmp_path / "pid"
    with Peer([tapferryd(), "-qmp", "stdio", "-pidfile",
               str(pidfile)]) as peer:
        done = run(tapferryd(), "-pidfile", str(pidfile))
        assert done.returncode == 1
        assert "locked" in done.stderr
        assert int(pidfile.read_text()) == peer.process.pid


def test_daemonize(tmp_path: Path, run: Any) -> None:
    """The parent returns when the monitor answers."""
    pidfile = tmp_path / "pid"
    done = run(tapferryd(), "-daemonize", "-pidfile", str(pidfile), "-qmp",
               f"unix:{tmp_path}/qmp,server=on,wait=off")
    assert done.returncode == 0
    assert done.stderr == ""
    # At once: nothing may be left to wait for.
    pid = int(pidfile.read_text())
    with Client(tmp_path / "qmp") as client:
        assert os.getsid(pid) != os.getsid(0)
        client.write('{"execute": "quit"}')
        assert client.read()["return"] == {}
    end = time.monotonic() + 10
    while pidfile.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not pidfile.exists()
