# SPDX-License-Identifier: BSD-2-Clause
"""Chardevs without a connection: what a redirector writes arrives there, what
lies there is read, and the words for errors are QEMU's."""

import base64
import os
import select
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from lib.daemon import Daemon, QmpFailure, alone, program
from lib.waiting import wait_until
from lib.wire import Pair, Peer, encode


def start(*arguments: str) -> Any:
    """A daemon with the netdev b on a socket pair, and our end of it."""
    pair = Pair()
    daemon = alone("-netdev", f"socket,id=b,fd={pair.fd}", *arguments,
                    pass_fds=[pair.fd])
    pair.passed()
    return daemon, pair.wire


def add(daemon: Daemon, kind: str, **data: Any) -> None:
    """Make the chardev c."""
    daemon.execute("chardev-add", id="c",
                   backend={"type": kind, "data": data})


def redirect(daemon: Daemon, **properties: Any) -> None:
    """Make the redirector r."""
    daemon.execute("object-add", qom_type="filter-redirector", id="r",
                   netdev="b", **properties)


FRAMES: List[bytes] = [bytes([i]) * (i + 1) * 50 for i in range(100)]


def send_out(daemon: Daemon, wire: Any) -> None:
    """Send all frames through the redirector to the chardev."""
    wire.send(*FRAMES)
    wait_until(lambda: daemon.counters("r")["outdev"] == len(FRAMES),
               lambda: str(daemon.counters("r")["outdev"]))


def test_file(tmp_path: Path) -> None:
    """Written anew, and with append behind what is there."""
    path = tmp_path / "out"
    path.write_bytes(b"old")
    for append, before in ((False, b""), (True, encode(FRAMES))):
        daemon, wire = start()
        with daemon:
            add(daemon, "file", out=str(path), append=append)
            assert daemon.execute("query-chardev")[0] == {
                "label": "c", "filename": "file", "frontend-open": False}
            redirect(daemon, outdev="c", queue="tx")
            send_out(daemon, wire)
        assert path.read_bytes() == before + encode(FRAMES)


def test_file_large(tmp_path: Path) -> None:
    """More than one turn's worth of writing."""
    path = tmp_path / "out"
    daemon, wire = start("-chardev", f"file,id=c,path={path}")
    with daemon:
        redirect(daemon, outdev="c", queue="tx")
        frames = [b"x" * 60000] * 500
        wire.send(*frames)
        wait_until(lambda: daemon.counters("r")["outdev"] == 500,
                   lambda: str(daemon.counters("r")["outdev"]))
    assert path.stat().st_size == 500 * 60004


def test_null() -> None:
    """All of it is taken and gone."""
    daemon, wire = start("-chardev", "null,id=c")
    with daemon:
        assert daemon.execute("query-chardev")[0]["filename"] == "null"
        redirect(daemon, outdev="c", queue="tx")
        send_out(daemon, wire)


def test_ringbuf() -> None:
    """The last bytes are kept."""
    daemon, wire = start()
    with daemon:
        add(daemon, "ringbuf", size=4096)
        assert daemon.execute("query-chardev")[0]["filename"] == "ringbuf"
        redirect(daemon, outdev="c", queue="tx")
        send_out(daemon, wire)
        kept = b""
        for size in (1000, 10000):
            kept += base64.b64decode(daemon.execute(
                "ringbuf-read", device="c", size=size, format="base64"))
        assert kept == encode(FRAMES)[-4096:]
        assert daemon.execute("ringbuf-read", device="c", size=5) == ""
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("ringbuf-read", device="nosuch", size=3)
        assert failure.value.kind == "GenericError"
        daemon.execute("chardev-add", id="n",
                       backend={"type": "null", "data": {}})
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("ringbuf-read", device="n", size=3)
        assert failure.value.text == "n is not a ringbuf device"


@pytest.mark.parametrize("single", [False, True])
def test_pipe(tmp_path: Path, single: bool) -> None:
    """Both ways through two FIFOs, or in through one."""
    path = tmp_path / "p"
    ends = [path] if single else [tmp_path / "p.in", tmp_path / "p.out"]
    for end in ends:
        os.mkfifo(end)
    daemon, wire = start()
    with daemon:
        add(daemon, "pipe", device=str(path))
        assert daemon.execute("query-chardev")[0]["filename"] == "pipe"
        redirect(daemon, indev="c", queue="rx")
        with open(ends[0], "wb") as entry:
            entry.write(encode(FRAMES))
        assert [wire.receive_one() for _ in FRAMES] == FRAMES
        daemon.execute("object-del", id="r")
        redirect(daemon, outdev="c", queue="tx")
        if single:
            # It reads its own: more than the FIFO holds passes.
            wire.send(*[b"x" * 60000] * 20)
            wait_until(lambda: daemon.counters("r")["outdev"] == 20,
                       lambda: str(daemon.counters("r")["outdev"]))
        else:
            fd = os.open(ends[1], os.O_RDONLY | os.O_NONBLOCK)
            wire.send(*FRAMES)
            data = b""
            while len(data) < len(encode(FRAMES)):
                assert select.select([fd], [], [], 20)[0]
                data += os.read(fd, 100000)
            os.close(fd)
            assert data == encode(FRAMES)


@pytest.mark.parametrize("empty", [False, True])
def test_stdio(tmp_path: Path, empty: bool) -> None:
    """Standard input and output; the end of the one is not the end of the
    other, and the flags of what was inherited come back."""
    network, ours = Pair(), Pair()
    out_end, out = os.pipe()
    with subprocess.Popen(
            [str(program()), "-chardev", "stdio,id=c",
             "-netdev", f"socket,id=b,fd={network.fd}",
             "-object", "filter-redirector,id=r,netdev=b,queue=tx,outdev=c",
             "-qmp", f"unix:{tmp_path}/q,server=on,wait=off"],
            pass_fds=[network.fd],
            stdin=subprocess.DEVNULL if empty else ours.fd,
            stdout=out) as process:
        Peer.connect(tmp_path / "q").close()
        network.wire.send(*FRAMES)
        data = b""
        while len(data) < len(encode(FRAMES)):
            assert select.select([out_end], [], [], 20)[0]
            data += os.read(out_end, 100000)
        assert data == encode(FRAMES)
        process.terminate()
        assert process.wait(20) == 0
    assert os.get_blocking(out) and os.get_blocking(ours.fd)
    os.close(out_end)
    os.close(out)


FAILED = "Failed to add chardev 'c': "

REFUSED: List[Any] = [
    ("file", {"out": "/nosuch/f"},
     FAILED + "Could not open '/nosuch/f': No such file or directory"),
    ("file", {"out": "/tmp"}, FAILED + "Could not open '/tmp': Is a directory"),
    ("file", {}, "Parameter 'backend.data.out' is missing"),
    ("ringbuf", {"size": 5},
     FAILED + "size of ringbuf chardev must be power of two"),
    ("ringbuf", {"size": 1 << 40}, "Parameter 'backend.data.size' expects"),
    ("pipe", {}, "Parameter 'backend.data.device' is missing"),
    ("pipe", {"device": "/nosuch/p"},
     FAILED + "Could not open '/nosuch/p': No such file or directory"),
    ("null", {"size": 5}, "Parameter 'backend.data.size' is unexpected"),
]


@pytest.mark.parametrize("kind, data, text", REFUSED)
def test_refused(kind: str, data: Dict[str, Any], text: str) -> None:
    """What can't be is refused and leaves no trace."""
    with alone() as daemon:
        with pytest.raises(QmpFailure) as failure:
            add(daemon, kind, **data)
        assert failure.value.kind == "GenericError"
        assert failure.value.text.startswith(text)
        assert daemon.execute("query-chardev") == []


def test_fifo_without_a_reader(tmp_path: Path) -> None:
    """Neither waits for one: that is an error, which tells what to do."""
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    daemon, _wire = start()
    with daemon:
        with pytest.raises(QmpFailure, match="somebody has to read it first"):
            add(daemon, "file", out=path)
        with pytest.raises(QmpFailure, match="somebody has to read it first"):
            daemon.execute("object-add", qom_type="filter-dump", id="d",
                           netdev="b", file=path)


def test_stdio_once() -> None:
    """For one chardev at a time."""
    done = subprocess.run(
        [str(program()), "-chardev", "stdio,id=a", "-chardev", "stdio,id=b"],
        check=False, timeout=20, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "cannot use stdio by multiple character devices" in done.stderr


def test_backends() -> None:
    """All types are listed."""
    with alone("-chardev", "null,id=n") as daemon:
        names = {each["name"]
                 for each in daemon.execute("query-chardev-backends")}
        assert names >= {"file", "null", "pipe", "ringbuf", "socket", "stdio"}
