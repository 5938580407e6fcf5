# SPDX-License-Identifier: BSD-2-Clause
"""filter-dump and its file: whole at every moment, in order, and alive,
whatever becomes of the file, its directory and the disk."""

import os
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import pytest

from chains import Chain
from lib.daemon import QmpFailure
from lib.waiting import wait_until

LONG = 1000000000

# pcapng blocks (draft-ietf-opsawg-pcapng)
SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6


@pytest.fixture(name="chain")
def fixture_chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain without filters; its daemon must end cleanly."""
    with Chain(tmp_path) as chain:
        yield chain


def frame(number: int, size: int = 100) -> bytes:
    """A frame that tells its number behind its header."""
    return b"\2" * 12 + b"\x88\xb5" + struct.pack(">I", number) + \
        bytes(size - 18)


def dump(chain: Chain, path: Path, **properties: Any) -> Path:
    """Make the filter-dump d0."""
    chain.add("dump", "d0", file=str(path), **properties)
    return path


def capinfos(path: Path) -> Dict[str, str]:
    """What capinfos says; it must not complain."""
    done = subprocess.run(["capinfos", str(path)], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return {line.split(":", 1)[0].strip(): line.split(":", 1)[1].strip()
            for line in done.stdout.splitlines() if ":" in line}


def tshark(path: Path, *fields: str) -> List[List[str]]:
    """Fields of all frames; it must not complain."""
    done = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields",
         *(word for field in fields for word in ("-e", field))],
        text=True, check=False, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    complaints = [line for line in done.stderr.splitlines()
                  if line and "Running as user" not in line]
    assert done.returncode == 0 and not complaints, complaints
    return [line.split("\t") for line in done.stdout.splitlines()]


def numbers(path: Path) -> List[int]:
    """The numbers of the frames in a capture file."""
    return [int(data[:8], 16) for data, in tshark(path, "data.data")]


def blocks(path: Path) -> List[Tuple[int, bytes]]:
    """The blocks of a pcapng file, each whole."""
    data, found = path.read_bytes(), []
    while data:
        kind, size = struct.unpack_from("=II", data)
        assert struct.unpack_from("=I", data, size - 4)[0] == size
        found.append((kind, data[8:size - 4]))
        data = data[size:]
    return found


def options(body: bytes) -> Dict[int, bytes]:
    """The options at the end of a block's body."""
    found = {}
    while body:
        code, size = struct.unpack_from("=HH", body)
        if code == 0:
            break
        found[code] = body[4:4 + size]
        body = body[4 + (size + 3) // 4 * 4:]
    return found


def test_pcapng_blocks(chain: Chain, tmp_path: Path) -> None:
    """A section, its interface, the frames, and at the end what was counted;
    nanoseconds, directions, lengths."""
    path = dump(chain, tmp_path / "d", format="pcapng", maxlen=50)
    before = time.time_ns()
    chain.pass_tx(*(frame(i) for i in range(3)))
    chain.pass_rx(frame(3, 40))
    chain.delete("d0")
    after = time.time_ns()
    found = blocks(path)
    assert [kind for kind, _body in found] == \
        [SECTION, INTERFACE, *[PACKET] * 4, STATISTICS]
    assert struct.unpack_from("=IHHq", found[0][1]) == \
        (0x1A2B3C4D, 1, 0, -1)
    link, _reserved, snaplen = struct.unpack_from("=HHI", found[1][1])
    interface = options(found[1][1][8:])
    assert (link, snaplen, interface[9], interface[2]) == \
        (1, 50, b"\x09", b"n0")
    last = before
    for number, (_kind, body) in enumerate(found[2:6]):
        number_of, high, low, caplen, length = struct.unpack_from("=5I", body)
        stamp = high << 32 | low
        assert last <= stamp <= after
        last = stamp
        size = 40 if number == 3 else 100
        assert (number_of, caplen, length) == (0, min(size, 50), size)
        flags, = struct.unpack("=I", options(
            body[20 + (caplen + 3) // 4 * 4:])[2])
        assert flags & 3 == (1 if number == 3 else 2)
    statistics = options(found[6][1][12:])
    received, = struct.unpack("=Q", statistics[4])
    dropped, = struct.unpack("=Q", statistics[5])
    assert (received, dropped) == (4, 0)
    start, end = (struct.unpack("=II", statistics[code]) for code in (2, 3))
    assert before - 10**9 < start[0] << 32 | start[1] <= \
        end[0] << 32 | end[1] <= after


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_times_never_go_back(chain: Chain, tmp_path: Path, form: str) -> None:
    """A frame that a buffer held is written with the time when it passed,
    behind those that passed it by."""
    chain.add("buffer", "b0", queue="tx", interval=LONG)
    path = dump(chain, tmp_path / "d", format=form)
    chain.net.send(*(frame(i) for i in range(50)))
    chain.wait("b0", "packets-tx", 50)
    chain.pass_rx(*(frame(i) for i in range(50, 60)))
    chain.set("b0", "status", "off")
    chain.wait("d0", "packets-tx", 50)
    chain.pass_rx(*(frame(i) for i in range(60, 70)))
    chain.delete("d0")
    assert capinfos(path)["Strict time order"] == "True"
    assert numbers(path) == [*range(50, 60), *range(50), *range(60, 70)]


def test_rotates_by_time(chain: Chain, tmp_path: Path) -> None:
    """A file that has frames ends when its time is over; one without stays,
    and none is lost between them."""
    path = dump(chain, tmp_path / "d", **{"rotate-interval": 1,
                                          "rotate-keep": 3})
    for number in range(3):
        chain.pass_tx(frame(number))
        old = tmp_path / f"d.{number + 1}"
        wait_until(old.exists, lambda: f"no {old.name}")
    assert [numbers(tmp_path / name) for name in ("d.3", "d.2", "d.1")] == \
        [[0], [1], [2]]
    inode = path.stat().st_ino
    time.sleep(2.2)
    assert path.stat().st_ino == inode
    assert not (tmp_path / "d.4").exists()
    chain.pass_tx(frame(3))
    wait_until(lambda: path.stat().st_ino != inode, lambda: "not rotated")
    assert numbers(tmp_path / "d.1") == [3]
    assert not (tmp_path / "d.4").exists()


@pytest.mark.parametrize("keep", [0, 1, 3])
@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_rotates_by_size(chain: Chain, tmp_path: Path, form: str,
                         keep: int) -> None:
    """No file is larger; together the kept ones have the last frames; each
    pcapng file ends with its own statistics."""
    path = dump(chain, tmp_path / "d", format=form,
                **{"rotate-size": 4096, "rotate-keep": keep})
    for first in range(0, 300, 50):
        chain.pass_tx(*(frame(i) for i in range(first, first + 50)))
    chain.delete("d0")
    names = [f"d.{i}" for i in range(keep, 0, -1)] + ["d"]
    assert sorted(each.name for each in tmp_path.glob("d*")) == sorted(names)
    got: List[int] = []
    for name in names:
        file = tmp_path / name
        assert file.stat().st_size <= 4096
        part = numbers(file)
        assert part
        if form == "pcapng":
            kind, body = blocks(file)[-1]
            assert kind == STATISTICS
            assert struct.unpack("=Q", options(body[12:])[4])[0] == len(part)
        got += part
    assert got == list(range(got[0], 300))
    assert path.exists()


def test_frame_larger_than_the_limit(chain: Chain, tmp_path: Path) -> None:
    """A file holds at least one frame, however small rotate-size is."""
    path = dump(chain, tmp_path / "d", **{"rotate-size": 1,
                                          "rotate-keep": 2})
    for number in range(4):
        chain.pass_tx(frame(number, 1000))
    chain.delete("d0")
    assert [numbers(tmp_path / name) for name in ("d.2", "d.1", "d")] == \
        [[1], [2], [3]]
    assert numbers(path) == [3]


def hang_up(chain: Chain) -> None:
    """SIGHUP, and until it has been heard."""
    os.kill(chain.daemon.pid, signal.SIGHUP)
    time.sleep(0.1)
    chain.daemon.execute("query-status")


def test_file_removed(chain: Chain, tmp_path: Path) -> None:
    """SIGHUP makes it again."""
    path = dump(chain, tmp_path / "d")
    chain.pass_tx(frame(0))
    path.unlink()
    chain.pass_tx(frame(1))
    hang_up(chain)
    chain.pass_tx(frame(2))
    hang_up(chain)
    assert numbers(path) == [2]


@pytest.mark.parametrize("how", ["SIGHUP", "rotation"])
def test_directory_removed(chain: Chain, tmp_path: Path, how: str) -> None:
    """The file can't be made again: frames are counted, one line is said,
    and when the directory is back it goes on."""
    directory = tmp_path / "logs"
    directory.mkdir()
    path = dump(chain, directory / "d",
                **({"rotate-size": 1000} if how == "rotation" else {}))
    chain.pass_tx(frame(0))
    shutil.rmtree(directory)
    if how == "SIGHUP":
        hang_up(chain)
    count = 1
    for _ in range(30):
        chain.pass_tx(*(frame(count + i) for i in range(10)))
        count += 10
    dropped = chain.counter("d0", "dropped-queue-full")
    assert 280 <= dropped <= 301
    directory.mkdir()
    wait_until(path.exists, lambda: "not made again")
    chain.pass_tx(frame(999))
    chain.delete("d0")
    assert numbers(path) == [999]
    assert chain.order() == []


@pytest.mark.parametrize("value, text", [
    ("", "net dump: can't open : No such file or directory"),
    ("/nosuch/d", "net dump: can't open /nosuch/d: No such file or "
                  "directory"),
    ("/dev/full", "net dump: can't write to /dev/full: No space left on "
                  "device"),
    ("/", "net dump: can't open /: Is a directory")])
def test_file_that_can_not_be(chain: Chain, tmp_path: Path, value: str,
                              text: str) -> None:
    """The dump goes on where it was."""
    path = dump(chain, tmp_path / "d")
    chain.pass_tx(frame(0))
    with pytest.raises(QmpFailure) as failure:
        chain.set("d0", "file", value)
    assert (failure.value.kind, failure.value.text) == ("GenericError", text)
    assert chain.get("d0", "file") == str(path)
    chain.pass_tx(frame(1))
    chain.delete("d0")
    assert numbers(path) == [0, 1]


def test_two_dumps_of_one_file(chain: Chain, tmp_path: Path) -> None:
    """Whoever does that gets what he asked for, but no crash."""
    dump(chain, tmp_path / "d")
    chain.add("dump", "d1", file=str(tmp_path / "d"))
    chain.pass_tx(*(frame(i) for i in range(10)))
    for name in ("d0", "d1"):
        chain.delete(name)
    chain.pass_tx(frame(0))


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_all_sizes(chain: Chain, tmp_path: Path, form: str) -> None:
    """From one byte to the largest; maxlen 1 and the largest maxlen."""
    sizes = [1, 2, 3, 4, 5, 13, 14, 15, 60, 1514, 9000, 65535, 65536, 69632]
    for maxlen in (1, 65536, 0xFFFFFFFF):
        path = dump(chain, tmp_path / "d", format=form, maxlen=maxlen)
        for size in sizes:
            chain.pass_tx(b"\x5a" * size)
        chain.delete("d0")
        assert tshark(path, "frame.len", "frame.cap_len") == \
            [[str(size), str(min(size, maxlen))] for size in sizes]
        capinfos(path)


def test_slow_pipe(chain: Chain, tmp_path: Path) -> None:
    """A reader of a named pipe that stops reading: counted, and what it gets
    is whole frames, in order."""
    path = tmp_path / "p"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    dump(chain, path)
    for first in range(0, 3000, 100):
        chain.pass_tx(*(frame(i, 1000) for i in range(first, first + 100)))
    dropped = chain.counter("d0", "dropped-queue-full")
    assert dropped > 0
    data = b""
    got: List[int] = []

    def more() -> bool:
        nonlocal data
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return len(data) >= 24 + 1016 * (3000 - dropped)

    wait_until(more, lambda: f"{len(data)} bytes")
    at = 24
    while at < len(data):
        caplen, length = struct.unpack_from("=II", data, at + 8)
        assert caplen == length == 1000
        got.append(struct.unpack_from(">I", data, at + 16 + 14)[0])
        at += 16 + caplen
    assert got == sorted(set(got)) and len(got) == 3000 - dropped
    # The reader goes: the dump waits for another one.
    os.close(reader)

    def noticed() -> bool:
        chain.pass_tx(frame(0))
        return chain.counter("d0", "dropped-queue-full") > dropped

    wait_until(noticed, lambda: "still writing")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    data = b""

    def begun() -> bool:
        nonlocal data
        chain.pass_tx(frame(1))
        try:
            data += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return len(data) > 24

    wait_until(begun, lambda: "the next reader got nothing")
    assert struct.unpack_from("=I", data)[0] == 0xA1B2C3D4
    os.close(reader)
