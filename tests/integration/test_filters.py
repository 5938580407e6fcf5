# SPDX-License-Identifier: BSD-2-Clause
"""The filters on real TAPs: mirror, redirector, buffer, dump, and bpf."""

import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# pylint: disable=wrong-import-position
from lib.capture_files import capinfos, capture_lines  # noqa: E402
from lib.filters import (  # noqa: E402
    Host, QmpFailure, Tap, frame, udp, wait_until)
from lib.frames import number_of  # noqa: E402


@pytest.fixture(name="host")
def fixture_host() -> Iterator[Host]:
    """A host of its own for every test."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    host = Host()
    try:
        yield host
    finally:
        host.close()


# filter-mirror

def test_mirror_copies_and_lets_pass(host: Host) -> None:
    """Upstream's flow: a copy on the chardev; the guest has the frame."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0", queue="tx")
    peer = host.peer("c0")
    assert daemon.counters("f0") == {
        "packets-tx": 0, "bytes-tx": 0, "packets-rx": 0, "bytes-rx": 0,
        "dropped-queue-full": 0, "dropped-oversize": 0,
        "dropped-disconnected": 0}
    sent = [frame(i, 60 + i) for i in range(100)]
    tap.send(*sent)
    assert peer.receive(100) == sent
    assert tap.guest_wait(100) == sent
    tap.guest_send(frame(7))
    assert peer.is_silent()
    counters = daemon.counters("f0")
    assert counters["packets-tx"] == 100 and counters["packets-rx"] == 0
    assert counters["bytes-tx"] == sum(map(len, sent))


def test_mirror_both_ways_with_headers(host: Host) -> None:
    """queue=all copies both directions; a super-frame keeps its header."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0", vnet_hdr_support=True)
    peer = host.peer("c0")
    tap.send(frame(1))
    assert peer.receive(1, vnet=True)[0] == bytes(12) + frame(1)
    tap.guest_send(frame(2))
    assert peer.receive(1, vnet=True)[0] == bytes(12) + frame(2)
    counters = daemon.counters("f0")
    assert (counters["packets-tx"], counters["packets-rx"]) == (1, 1)


def test_mirror_counts_what_nobody_takes(host: Host) -> None:
    """Without a peer, and with one that does not read, the chain goes on."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0",
               **{"send-queue-size": 4096})
    tap.send(frame(1))
    daemon.wait_counter("f0", "dropped-disconnected", 1)
    peer = host.peer("c0")
    daemon.execute("query-status")
    count = 800
    got = []
    for i in range(count):
        tap.send(frame(i, 1500))
        got += tap.guest_receive()
    got += tap.guest_wait(count + 1 - len(got))
    assert got[1:] == [frame(i, 1500) for i in range(count)]
    daemon.wait_counter("f0", "packets-tx", count + 1)
    dropped = daemon.counters("f0")["dropped-queue-full"]
    assert 0 < dropped < count
    arrived = peer.receive(count - dropped)
    numbers = [number_of(each) for each in arrived]
    assert numbers == sorted(set(numbers)) and numbers[:3] == [0, 1, 2]
    assert peer.is_silent(0.1)


def test_mirror_drops_the_oldest(host: Host) -> None:
    """on-full=drop-oldest: the last frames are those that arrive."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0",
               **{"send-queue-size": 8192, "on-full": "drop-oldest"})
    peer = host.peer("c0")
    daemon.execute("query-status")
    for i in range(800):
        tap.send(frame(i, 1500))
        tap.guest_receive()
    daemon.wait_counter("f0", "packets-tx", 800)
    dropped = daemon.counters("f0")["dropped-queue-full"]
    assert dropped > 0
    arrived = peer.receive(800 - dropped)
    assert arrived[-1] == frame(799, 1500)


@pytest.mark.parametrize("properties, kind, text", [
    ({}, "GenericError", "Parameter 'outdev' is missing"),
    ({"outdev": "nope"}, "DeviceNotFound", "Device 'nope' not found"),
    ({"outdev": ""}, "DeviceNotFound", "Device '' not found"),
    ({"outdev": "c0", "queue": "up"}, "GenericError", "queue"),
    ({"outdev": "c0", "on-full": "shrug"}, "GenericError", "on-full"),
    ({"outdev": "c0", "vnet-hdr-len": 11}, "GenericError", "expects 10 or 12"),
    ({"outdev": "c0", "vnet-hdr-len": 20}, "GenericError", "vnet-hdr-len"),
])
def test_mirror_refuses(host: Host, properties: Dict[str, Any], kind: str,
                        text: str) -> None:
    """QEMU's errors; a failed object-add leaves no trace."""
    host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    with pytest.raises(QmpFailure, match=text) as failure:
        daemon.add("filter-mirror", "f0", **properties)
    assert failure.value.kind == kind
    daemon.add("filter-mirror", "f0", outdev="c0")
    with pytest.raises(QmpFailure, match="Device 'c0' is in use"):
        daemon.add("filter-mirror", "f1", outdev="c0")
    daemon.execute("object-del", id="f0")
    daemon.add("filter-mirror", "f1", outdev="c0")


# filter-redirector in the chain: upstream's flows

def test_redirector_tx(host: Host) -> None:
    """f0 ships, a link brings it back, f1 takes it in, f2 ships it."""
    tap = host.tap()
    daemon = host.daemon(
        *host.chardev("s0"), *host.chardev("s1"),
        "-chardev", f"socket,id=link,path={host.path('s0')}")
    daemon.add("filter-redirector", "f0", queue="tx", outdev="s0")
    daemon.add("filter-redirector", "f1", queue="tx", indev="link")
    daemon.add("filter-redirector", "f2", queue="tx", outdev="s1")
    peer = host.peer("s1")
    daemon.execute("query-status")
    tap.send(frame(1))
    assert peer.receive() == [frame(1)]
    assert daemon.counters("f1")["indev"] == 1
    assert tap.guest_wait(1) == [frame(1)]


def test_redirector_indev_reaches_the_guest(host: Host) -> None:
    """A frame from indev is injected; status off holds it in the socket."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("s0"))
    daemon.add("filter-redirector", "f0", queue="tx", indev="s0",
               status="off")
    peer = host.peer("s0")
    peer.send(frame(1))
    assert tap.guest_receive(0.3) == []
    daemon.set("f0", "status", "on")
    assert tap.guest_wait(1) == [frame(1)]
    daemon.set("f0", "status", "off")
    peer.send(frame(2))
    assert tap.guest_receive(0.3) == []
    daemon.set("f0", "status", "on")
    assert tap.guest_wait(1) == [frame(2)]
    peer.close()
    daemon.execute("query-status")
    host.peer("s0").send(frame(3))
    assert tap.guest_wait(1) == [frame(3)]


def test_redirector_stats(host: Host) -> None:
    """outdev counts frames, not the framing."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("s0"))
    daemon.add("filter-redirector", "rd0", queue="tx", outdev="s0")
    assert daemon.counters("rd0")["outdev"] == 0
    peer = host.peer("s0")
    daemon.execute("query-status")
    tap.send(frame(1, 80))
    assert peer.receive() == [frame(1, 80)]
    entry, = daemon.execute("query-netfilter-stats", name="rd0")
    assert [each["name"] for each in entry["counters"]][:4] == [
        "indev", "outdev", "in_netdev", "out_netdev"]
    assert entry["counters"][1] == {"name": "outdev", "packets": 1,
                                    "bytes": 80}
    assert (entry["packets-tx"], entry["bytes-tx"]) == (1, 80)
    with pytest.raises(QmpFailure) as failure:
        daemon.execute("query-netfilter-stats", name="nonexistent")
    assert failure.value.kind == "GenericError"


# filter-buffer

def test_buffer_changes_interval(host: Host) -> None:
    """Upstream's flow: what is held for long goes on when the interval is
    made short; the guest has had the frame from the kernel, once."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-buffer", "b0", queue="tx", interval=1000000000)
    daemon.add("filter-redirector", "r0", queue="tx", outdev="c0")
    peer = host.peer("c0")
    daemon.execute("query-status")
    tap.send(frame(1))
    assert tap.guest_wait(1) == [frame(1)]
    assert peer.is_silent()
    daemon.set("b0", "interval", 1000)
    assert daemon.get("b0", "interval") == 1000
    assert peer.receive() == [frame(1)]
    tap.send(*(frame(i, 100) for i in range(200)))
    assert peer.receive(200) == [frame(i, 100) for i in range(200)]
    counters = daemon.counters("b0")
    assert counters["packets-tx"] == 201
    assert counters["dropped-queue-full"] == 0
    assert daemon.counters("r0")["packets-tx"] == 201


def test_buffer_does_not_inject_copies(host: Host) -> None:
    """A released copy ends at the guest's end: the guest had the frame."""
    tap = host.tap()
    daemon = host.daemon()
    daemon.add("filter-buffer", "b0", interval=1000)
    tap.send(*(frame(i) for i in range(50)))
    tap.guest_send(frame(99))
    assert tap.guest_wait(50) == [frame(i) for i in range(50)]
    daemon.wait_counter("b0", "packets-tx", 50)
    daemon.wait_counter("b0", "packets-rx", 1)
    assert tap.guest_receive(0.2) == []


@pytest.mark.parametrize("how", ["interval", "status", "object-del"])
def test_buffer_behind_indev(host: Host, how: str) -> None:
    """Frames from indev are held, and injected when they are let go."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-redirector", "r0", queue="tx", indev="c0")
    daemon.add("filter-buffer", "b0", queue="tx", interval=1000000000)
    host.peer("c0").send(*(frame(i) for i in range(300)))
    daemon.wait_counter("b0", "packets-tx", 300)
    assert tap.guest_receive(0.2) == []
    if how == "object-del":
        daemon.execute("object-del", id="b0")
    else:
        daemon.set("b0", how, {"interval": 1000, "status": "off"}[how])
    assert tap.guest_wait(300) == [frame(i) for i in range(300)]


def test_buffer_clock_is_the_vms(host: Host) -> None:
    """While the VM is stopped nothing is released."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-buffer", "b0", queue="tx", interval=50000)
    daemon.add("filter-mirror", "m0", queue="tx", outdev="c0")
    peer = host.peer("c0")
    daemon.execute("stop")
    tap.send(frame(1))
    assert peer.is_silent()
    daemon.execute("cont")
    assert peer.receive() == [frame(1)]


def test_filters_come_and_go_with_the_netdev(host: Host) -> None:
    """Upstream's add and remove flows: one filter, two, netdev_del, again."""
    host.tap()
    daemon = host.daemon()
    for names in (["b0"], ["b0", "b1"]):
        for name in names:
            daemon.add("filter-buffer", name, queue="rx", interval=1000)
        for name in names:
            daemon.execute("object-del", id=name)
        for name in names:
            daemon.add("filter-buffer", name, queue="rx", interval=1000)
        daemon.execute("netdev_del", id="n0")
        with pytest.raises(QmpFailure):
            daemon.execute("object-del", id="b0")
        daemon.execute("netdev_add", type="tap", id="n0", ifname="tap0")


@pytest.mark.parametrize("value, text", [
    (None, "Parameter 'interval' is missing"),
    (0, "Property 'filter-buffer.interval' requires a positive value"),
    (1 << 32, "Parameter 'interval' expects uint32_t"),
    (-1, "Parameter 'interval' expects uint32_t"),
    ("10", "Parameter 'interval' expects uint64"),
])
def test_buffer_refuses(host: Host, value: Any, text: str) -> None:
    """QEMU's words."""
    host.tap()
    daemon = host.daemon()
    properties = {} if value is None else {"interval": value}
    with pytest.raises(QmpFailure) as failure:
        daemon.add("filter-buffer", "b0", **properties)
    assert (failure.value.kind, failure.value.text) == ("GenericError", text)
    daemon.add("filter-buffer", "b0", interval=1000)
    if value is not None:
        with pytest.raises(QmpFailure) as failure:
            daemon.set("b0", "interval", value)
        assert failure.value.text == text
    assert daemon.get("b0", "interval") == 1000


# filter-dump

def frames_in(path: Path) -> List[int]:
    """The numbers of the frames in a capture file."""
    return [int(source.replace(":", "")[4:], 16)
            for source, in capture_lines(path, "eth.src")]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump(host: Host, form: str) -> None:
    """Both directions, in order, with wall-clock times; the guest has all."""
    tap = host.tap()
    daemon = host.daemon()
    path = host.path("dump")
    before = time.time()
    daemon.add("filter-dump", "d0", file=str(path), format=form)
    tap.send(*(frame(i, 60 + i) for i in range(200)))
    assert len(tap.guest_wait(200)) == 200
    daemon.wait_counter("d0", "packets-tx", 200)
    tap.guest_send(frame(200))
    daemon.wait_counter("d0", "packets-rx", 1)
    # A second later all of it is in the file.
    wait_until(lambda: frames_in(path) == list(range(201)), "the flush")
    daemon.execute("object-del", id="d0")
    lines = capture_lines(path, "frame.len", "frame.time_epoch",
                          "frame.packet_flags_direction")
    assert [int(line[0]) for line in lines] == [
        *(60 + i for i in range(200)), 64]
    times = [float(line[1]) for line in lines]
    assert times == sorted(times)
    assert before - 0.1 < times[0] and times[-1] < time.time() + 0.1
    about = capinfos(path)
    if form == "pcapng":
        assert [int(line[2], 0) for line in lines] == [2] * 200 + [1]
        assert "tapferryd" in about and "tap0" in about
        assert "Linux" in about and "nanoseconds" in about
    else:
        assert path.read_bytes()[:24] == struct.pack(
            "=IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 65536, 1)


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump_times_never_go_back(host: Host, form: str) -> None:
    """Copies that a buffer held, frames that were injected, and what the
    kernel gave its time: in the file they stand in the order of time."""
    tap = host.tap()
    path = host.path("dump")
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-redirector", "r0", queue="tx", indev="c0")
    daemon.add("filter-buffer", "b0", queue="tx", interval=20000,
               bpf="ether[8:4] < 100")
    daemon.add("filter-dump", "d0", file=str(path), format=form)
    peer = host.peer("c0")
    for i in range(100):
        tap.send(frame(i))
        peer.send(frame(200 + i))
        tap.guest_send(frame(400 + i))
        tap.send(frame(600 + i))
    daemon.wait_counter("d0", "packets-tx", 300)
    daemon.wait_counter("d0", "packets-rx", 100)
    daemon.execute("object-del", id="d0")
    assert "Strict time order:   True" in capinfos(path)
    held = [number for number in frames_in(path) if number < 100]
    assert held == list(range(100))


MARKER = frame(99)


def bridged(host: Host, tap: Tap) -> socket.socket:
    """The network behind a bridge: what is sent there has its tag apart in
    the kernel when it reaches the TAP. Some MARKERs come first."""
    with host.entered():
        host.run("ip", "link", "add", "v0", "type", "veth", "peer", "name",
                 "v1")
        host.run("ip", "link", "add", "br0", "type", "bridge")
        for each in ("v0", tap.ifname):
            host.run("ip", "link", "set", each, "master", "br0")
        for each in ("v0", "v1", "br0"):
            host.run("ip", "link", "set", each, "up")
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wire.bind(("v1", 0))

    def arrives() -> bool:
        wire.send(MARKER)
        return MARKER in tap.guest_receive(0.05)

    wait_until(arrives, "the bridge to forward")
    return wire


def vlan(frame_: bytes, tag: int) -> bytes:
    """The frame with an 802.1Q tag."""
    return frame_[:12] + struct.pack(">HH", 0x8100, tag) + frame_[12:]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump_keeps_tags(host: Host, form: str) -> None:
    """VLAN tags are in the file, the kernel's own and one in band."""
    tap = host.tap()
    path = host.path("dump")
    daemon = host.daemon()
    daemon.add("filter-dump", "d0", file=str(path), format=form)
    wire = bridged(host, tap)
    before = daemon.counters("d0")["packets-tx"]
    wire.send(vlan(frame(1), 5))
    daemon.wait_counter("d0", "packets-tx", before + 1)
    wire.close()
    tap.send(vlan(frame(2), 6))
    tap.guest_send(vlan(frame(3), 7))
    daemon.wait_counter("d0", "packets-tx", before + 2)
    daemon.wait_counter("d0", "packets-rx", 1)
    daemon.execute("object-del", id="d0")
    assert capture_lines(path, "vlan.id", "frame.len", display="vlan") == [
        ["5", "68"], ["6", "68"], ["7", "68"]]


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump_maxlen(host: Host, form: str) -> None:
    """maxlen cuts, and may be changed while it dumps."""
    tap = host.tap()
    daemon = host.daemon()
    path = host.path("dump")
    daemon.add("filter-dump", "d0", file=str(path), maxlen=100, format=form)
    for number, maxlen in enumerate((100, 1000, 50)):
        daemon.set("d0", "maxlen", maxlen)
        tap.send(frame(number, 1400))
        daemon.wait_counter("d0", "packets-tx", number + 1)
    daemon.execute("object-del", id="d0")
    assert capture_lines(path, "frame.cap_len", "frame.len") == [
        ["100", "1400"], ["1000", "1400"], ["50", "1400"]]
    capinfos(path)


def test_dump_follows_its_name(host: Host) -> None:
    """SIGHUP begins a new file if the old one was moved; qom-set file
    moves it to another one."""
    tap = host.tap()
    daemon = host.daemon()
    path, moved, other = host.path("d"), host.path("m"), host.path("o")
    daemon.add("filter-dump", "d0", file=str(path))
    tap.send(frame(0))
    daemon.wait_counter("d0", "packets-tx", 1)
    daemon.hang_up()
    assert frames_in(path) == [0]
    path.rename(moved)
    daemon.hang_up()
    tap.send(frame(1))
    daemon.wait_counter("d0", "packets-tx", 2)
    with pytest.raises(QmpFailure, match="net dump: can't open /nope/x"):
        daemon.set("d0", "file", "/nope/x")
    assert daemon.get("d0", "file") == str(path)
    daemon.set("d0", "file", str(other))
    tap.send(frame(2))
    daemon.wait_counter("d0", "packets-tx", 3)
    daemon.set("d0", "status", "off")
    assert [frames_in(each) for each in (moved, path, other)] == [
        [0], [1], [2]]


def test_dump_rotates(host: Host) -> None:
    """rotate-size and rotate-keep; every file is whole."""
    tap = host.tap()
    daemon = host.daemon()
    path = host.path("dump")
    daemon.add("filter-dump", "d0", file=str(path), format="pcapng",
               **{"rotate-size": 10000, "rotate-keep": 2})
    for i in range(30):
        tap.send(frame(i, 1000))
    daemon.wait_counter("d0", "packets-tx", 30)
    daemon.execute("object-del", id="d0")
    assert [frames_in(host.path(name)) for name in (
        "dump.2", "dump.1", "dump")] == [
            list(range(9, 18)), list(range(18, 27)), list(range(27, 30))]
    assert not host.path("dump.3").exists()


@pytest.mark.parametrize("form", ["pcap", "pcapng"])
def test_dump_survives_a_full_disk(host: Host, form: str) -> None:
    """No half record; what was not written is counted; it goes on."""
    tap = host.tap()
    disk = host.path("disk")
    disk.mkdir()
    host.run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk))
    try:
        daemon = host.daemon()
        path = disk / "dump"
        daemon.add("filter-dump", "d0", file=str(path), format=form)
        for i in range(600):
            tap.send(frame(i, 1000))
            tap.guest_receive()
        daemon.wait_counter("d0", "packets-tx", 600)
        dropped = daemon.counters("d0")["dropped-queue-full"]
        assert 200 < dropped < 400
        assert 50 < len(frames_in(path)) < 66
        host.run("mount", "-o", "remount,size=8m", str(disk))
        wait_until(lambda: frames_in(path) == list(range(600 - dropped)),
                   "the rest")
        tap.send(frame(9999))
        daemon.wait_counter("d0", "packets-tx", 601)
        daemon.execute("object-del", id="d0")
        assert frames_in(path)[-1] == 9999
        assert daemon.log.count("can not write") == 1
        assert daemon.log.count("writing again") == 1
    finally:
        host.run("umount", "-l", str(disk))


def test_dump_into_a_pipe(host: Host) -> None:
    """A named pipe: no reader is an error, a reader gets it live."""
    tap = host.tap()
    daemon = host.daemon()
    path = host.path("fifo")
    os.mkfifo(path)
    with pytest.raises(QmpFailure, match="net dump: can't open"):
        daemon.add("filter-dump", "d0", file=str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    daemon.add("filter-dump", "d0", file=str(path))
    tap.send(frame(5))

    def read() -> bytes:
        try:
            return os.read(reader, 4096)
        except BlockingIOError:
            return b""

    data = wait_until(read, "the header")
    while len(data) < 24 + 16 + 64:
        data += wait_until(read, "the frame")
    assert data[40:] == frame(5)
    os.close(reader)


@pytest.mark.parametrize("properties, text", [
    ({}, "Parameter 'file' is missing"),
    ({"file": ""}, "net dump: can't open : No such file or directory"),
    ({"file": "/nope/x"},
     "net dump: can't open /nope/x: No such file or directory"),
    ({"file": "x", "maxlen": 0},
     "Property 'filter-dump.maxlen' doesn't take value '0'"),
    ({"file": "x", "maxlen": 1 << 32}, "Parameter 'maxlen' expects uint32_t"),
    ({"file": "/dev/full"},
     "net dump: can't write to /dev/full: No space left on device"),
    ({"file": "x", "format": "pcapx"},
     "Parameter 'format' does not accept value 'pcapx'"),
])
def test_dump_refuses(host: Host, properties: Dict[str, Any],
                      text: str) -> None:
    """QEMU's words where QEMU has such an error."""
    host.tap()
    daemon = host.daemon()
    with pytest.raises(QmpFailure) as failure:
        daemon.add("filter-dump", "d0", **properties)
    assert (failure.value.kind, failure.value.text) == ("GenericError", text)
    daemon.add("filter-dump", "d0", file=str(host.path("good")))
    with pytest.raises(QmpFailure):
        daemon.set("d0", "maxlen", 0)
    assert daemon.get("d0", "maxlen") == 65536


# bpf, which every filter has

def test_bpf_on_a_mirror(host: Host) -> None:
    """What does not match is neither copied nor counted; it may be set and
    taken away at any time."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0", bpf="udp port 53")
    peer = host.peer("c0")
    daemon.execute("query-status")
    tap.send(udp(52), udp(53), frame(1), udp(54), udp(53, b"again"))
    assert peer.receive(2) == [udp(53), udp(53, b"again")]
    assert len(tap.guest_wait(5)) == 5
    assert daemon.counters("f0")["packets-tx"] == 2
    assert daemon.counters("f0")["bytes-tx"] == \
        len(udp(53)) + len(udp(53, b"again"))
    daemon.set("f0", "bpf", "ether proto 0x88b5")
    tap.send(udp(53), frame(2))
    assert peer.receive() == [frame(2)]
    with pytest.raises(QmpFailure, match="syntax error") as failure:
        daemon.set("f0", "bpf", "udp port port")
    assert failure.value.kind == "GenericError"
    assert daemon.get("f0", "bpf") == "ether proto 0x88b5"
    tap.send(udp(53), frame(3))
    assert peer.receive() == [frame(3)]
    daemon.set("f0", "bpf", "")
    tap.send(udp(53), frame(4))
    assert peer.receive(2) == [udp(53), frame(4)]


def test_bpf_sees_vlan_tags(host: Host) -> None:
    """Tags are in band, where the expression looks for them."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0", queue="tx",
               bpf="vlan 7 and udp port 53")
    peer = host.peer("c0")
    daemon.execute("query-status")

    def tagged(vlan: int, port: int) -> bytes:
        plain = udp(port)
        return plain[:12] + struct.pack(">HH", 0x8100, vlan) + plain[12:]

    tap.send(tagged(8, 53), tagged(7, 52), udp(53), tagged(7, 53))
    assert peer.receive() == [tagged(7, 53)]
    assert peer.is_silent()


def test_bpf_on_every_filter(host: Host) -> None:
    """A redirector takes only what matches, from the chain and from an
    interface; a buffer holds it, a dump writes it."""
    tap = host.tap()
    path = host.path("dump")
    daemon = host.daemon(*host.chardev("c0"), *host.chardev("c1"),
                         *host.chardev("c2"))
    daemon.add("filter-dump", "d0", queue="tx", file=str(path),
               format="pcapng", bpf="udp port 3")
    daemon.add("filter-buffer", "b0", queue="tx", interval=1000000000,
               bpf="udp port 2")
    daemon.add("filter-redirector", "r0", queue="tx", outdev="c0",
               bpf="udp port 1")
    daemon.add("filter-mirror", "m0", queue="tx", outdev="c1")
    daemon.add("filter-redirector", "r1", in_netdev="n0", outdev="c2",
               bpf="udp port 4")
    chain, rest, captured = map(host.peer, ("c0", "c1", "c2"))
    daemon.execute("query-status")
    tap.send(*(udp(port) for port in range(1, 6)))
    assert chain.receive() == [udp(1)]
    assert rest.receive(3) == [udp(port) for port in (3, 4, 5)]
    assert captured.receive() == [udp(4)]
    daemon.set("b0", "status", "off")
    assert rest.receive() == [udp(2)]
    for name in ("d0", "b0", "r0"):
        assert daemon.counters(name)["packets-tx"] == 1
    ledger = daemon.counters("r1")
    assert (ledger["in_netdev"], ledger["outdev"]) == (1, 1)
    daemon.execute("object-del", id="d0")
    assert capture_lines(path, "udp.dstport") == [["3"]]
    assert "udp port 3" in capinfos(path)


def kernel_programs(host: Host) -> List[int]:
    """How long the programs of the daemon's packet sockets are."""
    with host.entered():
        shown = subprocess.run(["ss", "-0", "-b"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
    return sorted(int(n) for n in re.findall(r"bpf filter \((\d+)\)", shown))


def test_bpf_in_the_kernel(host: Host) -> None:
    """With one reader the kernel leaves out what does not match; with two,
    each gets its own."""
    tap = host.tap()
    daemon = host.daemon(*host.chardev("c0"), *host.chardev("c1"))
    first = host.peer("c0")
    second = host.peer("c1")
    daemon.add("filter-mirror", "f0", outdev="c0", queue="tx")
    plain, = kernel_programs(host)
    daemon.set("f0", "bpf", "udp port 53")
    longer, = kernel_programs(host)
    assert longer > plain
    daemon.add("filter-mirror", "f1", outdev="c1", queue="tx")
    assert kernel_programs(host) == [plain]
    tap.send(udp(52), udp(53))
    assert first.receive() == [udp(53)]
    assert second.receive(2) == [udp(52), udp(53)]
    daemon.set("f1", "status", "off")
    assert kernel_programs(host) == [longer]
    daemon.set("f1", "status", "on")
    daemon.execute("object-del", id="f0")
    assert kernel_programs(host) == [plain]
    daemon.set("f1", "bpf", "udp port 54")
    tap.send(udp(53), udp(54))
    assert second.receive() == [udp(54)]
    daemon.execute("object-del", id="f1")
    wait_until(lambda: not kernel_programs(host), "the socket to be closed")
    # One that captures on its own.
    daemon.add("filter-redirector", "r0", in_netdev="n0", outdev="c0",
               bpf="udp port 55")
    assert kernel_programs(host)[0] > plain
    tap.send(udp(54), udp(55))
    assert first.receive() == [udp(55)]
    daemon.set("r0", "bpf", "")
    assert kernel_programs(host) == [plain]
    tap.send(udp(54))
    assert first.receive() == [udp(54)]


@pytest.mark.parametrize("bpf, wanted", [
    ("vlan 7 and udp port 53", [7]), ("vlan", [7, 8]), ("udp port 53", [0]),
    ("not vlan", [0]), ("ether[12:2] = 0x8100", [7, 8])])
def test_bpf_and_tags_kept_apart(host: Host, bpf: str,
                                 wanted: List[int]) -> None:
    """What comes through a bridge has its tag apart in the kernel."""
    tap = host.tap()
    wire = bridged(host, tap)
    daemon = host.daemon(*host.chardev("c0"))
    daemon.add("filter-mirror", "f0", outdev="c0", queue="tx", bpf=bpf)
    peer = host.peer("c0")
    daemon.execute("query-status")
    sent = {0: udp(53)}
    for tag in (7, 8):
        sent[tag] = vlan(sent[0], tag)
    for each in sent.values():
        wire.send(each)
    got: List[bytes] = []
    while len(got) < len(wanted):
        got += [each for each in peer.receive() if each != MARKER]
    assert got == [sent[tag] for tag in wanted]
    wire.close()


def test_bpf_refuses(host: Host) -> None:
    """pcap's message; the failed object-add leaves no trace."""
    host.tap()
    daemon = host.daemon(*host.chardev("c0"))
    for bad in ("udp prot 53", "(" * 3000, "\u00e4"):
        with pytest.raises(QmpFailure) as failure:
            daemon.add("filter-mirror", "f0", outdev="c0", bpf=bad)
        assert failure.value.kind == "GenericError"
        assert failure.value.text.startswith("Parameter 'bpf': ")
    with pytest.raises(QmpFailure, match="capture=undelivered"):
        daemon.add("filter-redirector", "f0", in_netdev="n0", outdev="c0",
                   capture="undelivered", bpf="udp")
    daemon.add("filter-redirector", "f0", in_netdev="n0", outdev="c0",
               capture="undelivered")
    with pytest.raises(QmpFailure, match="capture=undelivered"):
        daemon.set("f0", "bpf", "udp")
    assert daemon.get("f0", "bpf") == ""
