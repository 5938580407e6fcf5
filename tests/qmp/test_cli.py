# SPDX-License-Identifier: BSD-2-Clause
"""tapferry, the command line tool."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from lib.peer import (Peer, chardevs, in_namespace, needs_root, tapferry,
                      tapferryd)

Tool = Callable[..., Any]


@pytest.fixture(name="tool")
def fixture_tool(tmp_path: Path, run: Any) -> Iterator[Tool]:
    """Runs the tool against a daemon that has two redirectors."""
    needs_root()
    path = tmp_path / "qmp"
    with Peer(in_namespace(
            tapferryd(), "-qmp", "stdio", "-qmp",
            f"unix:{path},server=on,wait=off", "-netdev",
            "tap,id=n0,ifname=v0", *chardevs(tmp_path), "-object",
            "filter-redirector,id=r0,netdev=n0,outdev=c0", "-object",
            "filter-redirector,id=r1,netdev=n0,indev=c1")):
        yield lambda *words: run(tapferry(), "--socket", str(path), *words)


def test_version_and_help(run: Any) -> None:
    """Need no daemon."""
    assert run(tapferry(), "--version").stdout.startswith("tapferry 0.")
    for words in (["help"], ["--help"], ["-h"], ["help", "help"]):
        done = run(tapferry(), *words)
        assert done.returncode == 0
        assert "stats" in done.stdout
    for words in (["help", "stats"], ["stats", "--help"]):
        done = run(tapferry(), *words)
        assert done.returncode == 0
        assert "--format" in done.stdout


@pytest.mark.parametrize("words, part", [
    ([], "name a command"), (["nosuch"], "no command 'nosuch'"),
    (["--nosuch"], "unknown option --nosuch"),
    (["--socket"], "--socket lacks its PATH"),
    (["help", "nosuch"], "no command 'nosuch'"),
    (["stats", "--nosuch"], "--nosuch"),
    (["stats", "--format", "nosuch"], "none of table, json"),
    (["stats", "a", "b"], "name one filter"),
    (["stats", "--watch", "-1"], "--watch"), (["qmp"], "name a command"),
    (["qmp", "stop", "x"], "KEY=VALUE"), (["qmp", "stop", "=x"], "KEY=VALUE"),
    (["qmp", "stop", "a=1", "a.b=2"], "has a value already"),
    (["--socket", "/nosuch/qmp", "stats"],
     "'/nosuch/qmp': No such file or directory: is tapferryd running with "
     "-qmp unix:/nosuch/qmp,server=on,wait=off?"),
    (["stats", "--socket=/nosuch/qmp"], "is tapferryd running with")])
def test_errors(run: Any, words: Any, part: str) -> None:
    """One line that says what to do, and an exit status."""
    done = run(tapferry(), *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("tapferry: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr


def test_stats_json(tool: Tool) -> None:
    """What QMP says."""
    entries = json.loads(tool("stats", "--format", "json").stdout)
    assert [entry["name"] for entry in entries] == ["r0", "r1"]
    entry, = json.loads(tool("stats", "r1", "--format=json").stdout)
    assert entry["name"] == "r1"


def test_stats_table(tool: Tool) -> None:
    """A line per counter."""
    lines = tool("stats").stdout.splitlines()
    assert lines[0].split() == ["FILTER", "NETDEV", "TYPE", "COUNTER",
                                "PACKETS", "BYTES"]
    assert lines[1].split() == ["r0", "n0", "filter-redirector", "tx", "0",
                                "0"]
    assert lines[2].split() == ["rx", "0", "0"]
    assert lines[3].split() == ["indev", "0", "0"]


def test_stats_kv(tool: Tool) -> None:
    """A line per fact."""
    facts = dict(line.split("=", 1) for line in
                 tool("stats", "--format", "kv").stdout.splitlines())
    assert facts["r0.netdev"] == "n0"
    assert facts["r1.type"] == "filter-redirector"
    assert facts["r0.outdev.packets"] == "0"
    assert facts["r0.tx.bytes"] == "0"


def test_stats_prometheus(tool: Tool) -> None:
    """Text exposition: types, labels, and gauges for what waits."""
    text = tool("stats", "--format", "prometheus").stdout
    assert ('tapferry_filter_packets_total{filter="r0",netdev="n0",'
            'type="filter-redirector",counter="outdev"} 0') in text
    assert "# TYPE tapferry_filter_packets_total counter" in text
    assert re.search(r'tapferry_filter_waiting_packets\{.*"queued"\} 0', text)
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .*|[a-z_]+\{[^}]*\} \d+", line)


def test_stats_unknown(tool: Tool) -> None:
    """The daemon's error, with its class."""
    done = tool("stats", "nosuch")
    assert done.returncode == 1
    assert done.stderr.startswith("tapferry: GenericError: ")


def test_stats_watch(tool: Tool, tmp_path: Path) -> None:
    """Again and again, until the daemon goes."""
    process = subprocess.Popen(
        [tapferry(), "stats", "--socket", str(tmp_path / "qmp"), "--watch",
         "0.05", "--format", "kv"], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    assert process.stdout and process.stderr
    seen = 0
    while seen < 3:
        seen += "r0.netdev=n0" in process.stdout.readline()
    tool("qmp", "quit")
    _output, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert errors == "tapferry: the daemon closed the connection\n"


def test_qmp(tool: Tool) -> None:
    """Arguments of all kinds."""
    assert json.loads(tool("qmp", "query-status").stdout)["running"] is True
    assert tool("qmp", "stop").stdout == "{}\n"
    assert json.loads(tool("qmp", "query-status").stdout)["running"] is False
    # JSON where it reads as JSON, dots for what is inside.
    done = tool("qmp", "chardev-add", "id=c5", "backend.type=socket",
                "backend.data.addr.type=unix",
                "backend.data.addr.data.path=/nosuch/c5",
                "backend.data.server=true", "backend.data.wait=false")
    assert done.returncode == 1
    assert "/nosuch/c5" in done.stderr
    assert json.loads(tool("qmp", "qom-get", "path=r0",
                           "property=netdev").stdout) == "n0"
    assert tool("qmp", "qom-set", "path=r0", "property=status",
                "value=off").returncode == 0
    assert tool("qmp", "qom-get", "path=r0",
                "property=status").stdout == '"off"\n'


@pytest.mark.parametrize("words, error", [
    (["nosuch"],
     "tapferry: CommandNotFound: The command nosuch has not been found\n"),
    (["netdev_del", "id=nosuch"],
     "tapferry: DeviceNotFound: Device 'nosuch' not found\n"),
    (["object-del", "id=nosuch"],
     "tapferry: GenericError: object 'nosuch' not found\n"),
    (["object-del", "id=5"], "tapferry: GenericError: Invalid parameter type "
     "for 'id', expected: string\n")])
def test_qmp_errors(tool: Tool, words: Any, error: str) -> None:
    """Class and words."""
    done = tool("qmp", *words)
    assert done.returncode == 1
    assert done.stderr == error


def test_not_a_daemon(run: Any, tmp_path: Path) -> None:
    """Something else listens there."""
    path = tmp_path / "sock"
    code = ("import socket,sys; s=socket.socket(socket.AF_UNIX); "
            "s.bind(sys.argv[1]); s.listen(); print(flush=True); "
            "c,_=s.accept(); c.sendall(b'220 hello\\r\\n'); c.recv(100)")
    process = subprocess.Popen(["/usr/bin/python3", "-c", code, str(path)],
                               stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    done = run(tapferry(), "--socket", str(path), "stats")
    assert done.returncode == 1
    assert "does not speak QMP" in done.stderr
    process.kill()
    process.wait()
