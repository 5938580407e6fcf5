# SPDX-License-Identifier: BSD-2-Clause
"""tapferry, the command line tool."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

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


@pytest.mark.parametrize("words", [
    ["stats"], ["stats", "--format=json"], ["qmp", "query-qmp-schema"],
    ["--version"], ["help"]])
@pytest.mark.parametrize("closed", [False, True])
def test_output_is_lost(tool: Tool, words: Any, closed: bool) -> None:
    """That is an error, with standard output on a full disk or closed."""
    command = [*tool("--version").args[:-1], *words]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, check=False, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=30,
                              preexec_fn=(lambda: os.close(1))
                              if closed else None)
    assert done.stderr == "tapferry: can not write the output\n"
    assert done.returncode == 1


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
    # Of all that reads as JSON, null is a word: a chardev's type.
    assert tool("qmp", "chardev-add", "id=c5", "backend.type=null",
                "backend.data={}").stdout == "{}\n"
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


def terminal(*argv: str, steps: List[Tuple[str, bytes]]) -> str:
    """Runs a program on a terminal of its own: waits for each text, then
    presses keys; returns all that it has shown when it has ended."""
    child, master = pty.fork()
    if child == 0:
        os.environ["TERM"] = "vt100"
        os.execv(argv[0], argv)
    shown, seen = b"", 0
    waiting = list(steps)
    try:
        while select.select([master], [], [], 60)[0]:
            try:
                more = os.read(master, 65536)
            except OSError:
                break  # it has ended
            shown += more
            while waiting and waiting[0][0].encode() in shown[seen:]:
                text, keys = waiting.pop(0)
                seen = shown.index(text.encode(), seen) + len(text)
                os.write(master, keys)
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(master)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 0, shown
    return shown.decode(errors="replace")


def test_top(tool: Tool, tmp_path: Path) -> None:
    """A full screen, until q; and the screen is given back."""
    shown = terminal(tapferry(), "--socket", str(tmp_path / "qmp"), "top",
                     "--delay", "0.1", steps=[("r1: filter-", b"q")])
    assert "r0: filter-redirector on n0" in shown
    assert shown.startswith("\x1b[?1049h")
    assert shown.rstrip().endswith("\x1b[?1049l")
    assert tool("top").returncode == 1


def test_shell_completes(tool: Tool, tmp_path: Path,
                         monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and their arguments, by the schema; the history stays."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert tool("qmp", "query-status").returncode == 0
    shown = terminal(tapferry(), "--socket", str(tmp_path / "qmp"), "shell",
                     steps=[("(tapferry) ", b"query-netfilt\tna\tr1\r"),
                            ('"name": "r1"', b""),
                            ("(tapferry) ", b"exit\r")])
    assert '"name": "r1"' in shown
    history = (tmp_path / "state/tapferry/history").read_text()
    assert "name=r1" in history


def test_shell_without_a_terminal(tmp_path: Path, tool: Tool) -> None:
    """Line by line; what is wrong is said, and the next line counts."""
    assert tool("qmp", "query-status").returncode == 0
    done = subprocess.run(
        [tapferry(), "--socket", str(tmp_path / "qmp"), "shell"],
        input='query-status\n\nnosuch\n{"execute": "qom-get", "arguments": '
        '{"path": "r0", "property": "netdev"}}\n{"x"\nstop x\n"\nexit\nstop\n',
        text=True, check=False, timeout=30, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    assert done.returncode == 0
    assert '"running": true' in done.stdout and '"n0"' in done.stdout
    assert "nosuch has not been found" in done.stderr
    assert "KEY=VALUE" in done.stderr
    assert json.loads(tool("qmp", "query-status").stdout)["running"] is True


def test_shell_ends_with_the_daemon(tmp_path: Path, tool: Tool) -> None:
    """As it was told to, or for want of it, and then says so."""
    assert tool("qmp", "query-status").returncode == 0
    with subprocess.Popen(
            [tapferry(), "--socket", str(tmp_path / "qmp"), "shell"],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE) as orphan:
        assert orphan.stdin and orphan.stdout
        orphan.stdin.write("query-status\n")
        orphan.stdin.flush()
        assert orphan.stdout.readline() == "{\n"
        done = subprocess.run(
            [tapferry(), "--socket", str(tmp_path / "qmp"), "shell"],
            input="quit\n", text=True, check=False, timeout=30,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert done.returncode == 0 and done.stderr == ""
        said = orphan.communicate("query-status\n" * 100, timeout=30)[1]
        assert orphan.returncode == 1
        assert "daemon" in said


def test_demo_needs_a_checkout(tmp_path: Path, run: Any) -> None:
    """Installed elsewhere it says what to do."""
    copy = tmp_path / "tapferry"
    shutil.copy(tapferry(), copy)
    done = run(str(copy), "demo")
    assert done.returncode == 1
    assert "run 'make demo' in a checkout" in done.stderr


def test_report_refuses(run: Any, tmp_path: Path) -> None:
    """What is no report."""
    path = tmp_path / "x.json"
    for text in ("", "[]", "{}", '{"sides": 5}', '{"sides": [{}]}',
                 '{"sides": []}'):
        path.write_text(text)
        done = run(tapferry(), "report", str(path))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("side", ["source", "destination"])
def test_report_of_a_vanished_source(run: Any, tmp_path: Path, side: str
                                     ) -> None:
    """What a daemon took along is not nothing."""
    path = tmp_path / "x.json"
    entry = {"side": side, "outcome": "completed", "was-connected": True,
             "stats": {}, "switchover": {"link": {"vanished": 0}}}
    path.write_text(json.dumps({"sides": [entry]}))
    assert "Nothing was lost" in run(tapferry(), "report", str(path)).stdout
    entry["switchover"] = {"link": {"vanished": 1}}
    path.write_text(json.dumps({"sides": [entry]}))
    shown = run(tapferry(), "report", str(path)).stdout
    assert "Nothing was lost" not in shown
    assert "ended without a word" in " ".join(shown.split())
    for missing, verdict in ((0, "Nothing was lost"),
                             (3, "3 frames were lost when a daemon of the "
                              "source ended and another one followed")):
        entry["switchover"]["link"]["missing"] = missing
        path.write_text(json.dumps({"sides": [entry]}))
        shown = " ".join(run(tapferry(), "report", str(path)).stdout.split())
        assert verdict in shown
        assert ("Nothing was lost" in shown) == (missing == 0)


def test_report_of_a_queue_put_back(run: Any, tmp_path: Path) -> None:
    """Nor is what that cost."""
    path = tmp_path / "x.json"
    entry = {"side": "destination", "outcome": "completed",
             "was-connected": True, "stats": {},
             "switchover": {"tap-queue": {"lost": 2}}}
    path.write_text(json.dumps({"sides": [entry]}))
    shown = " ".join(run(tapferry(), "report", str(path)).stdout.split())
    assert "Nothing was lost" not in shown
    assert "2 frames were lost at the destination (when txqueuelen" in shown


def test_report_of_strange_values(run: Any, tmp_path: Path) -> None:
    """A report from elsewhere may hold anything: it is shown, escaped."""
    path = tmp_path / "x.json"
    timeline = {"start-us": 1, "step-us": 0, "series": {
        "captured": [1, -5, 2**62, "x", None], "live": 7}}
    path.write_text(json.dumps({"sides": [
        {"side": "<script>", "host": "<i>", "stats": {
            "counters": [5, {"name": "dropped-<b>", "packets": 2}]}},
        {"side": "source", "stats": {}, "switchover": {
            "stop-us": -1, "phases": [{}, 5], "timeline": timeline,
            "flows": [{"kind": 5}], "waits": {"histogram": [{}]}}}]}))
    page = tmp_path / "x.html"
    done = run(tapferry(), "report", str(path), "--html", str(page))
    assert done.returncode == 0
    assert "<script>" not in page.read_text()
    assert "<i>)" not in page.read_text()
