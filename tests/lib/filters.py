# SPDX-License-Identifier: BSD-2-Clause
"""A host with TAPs, a daemon on it, and both ends of every frame's way.

The test is the guest (it holds the TAP's queue), the network (it sends into
the TAP as a bridge does) and the peer of the daemon's chardevs.
"""

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

TOP = Path(__file__).resolve().parents[2]
TIMEOUT = 20.0
GUEST = bytes.fromhex("525400123456")

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TAP_NO_PI = 0x1002
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Waits until @condition is true and returns what it gave."""
    end = time.monotonic() + TIMEOUT
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


def frame(number: int, size: int = 64, ethertype: int = 0x88B5) -> bytes:
    """A frame that carries a number."""
    head = GUEST + bytes.fromhex("02fe00000001") + \
        struct.pack(">HI", ethertype, number)
    return head + bytes((number + i) & 0xFF for i in range(size - len(head)))


def udp(port: int, payload: bytes = b"x" * 32) -> bytes:
    """A UDP datagram to a port, without a checksum."""
    datagram = struct.pack(">HHHH", 4000, port, 8 + len(payload), 0) + payload
    packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 0, 0,
                         64, 17, 0, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
    total = sum(struct.unpack(">10H", packet))
    total = (total & 0xFFFF) + (total >> 16)
    packet = packet[:10] + struct.pack(">H", ~total & 0xFFFF) + packet[12:]
    return GUEST + bytes.fromhex("02fe00000001") + b"\x08\x00" + packet + \
        datagram


class QmpFailure(AssertionError):
    """A command failed; ``kind`` is the error's class."""

    def __init__(self, error: Dict[str, str]) -> None:
        super().__init__(f"{error['class']}: {error['desc']}")
        self.kind, self.text = error["class"], error["desc"]


class Tap:
    """A TAP; the test is the guest behind it and the network before it."""

    def __init__(self, host: "Host", ifname: str) -> None:
        self.ifname = ifname
        with host.entered():
            self._queue = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self._queue, _TUNSETIFF, struct.pack(
                "16sH22x", ifname.encode(), _IFF_TAP_NO_PI))
            host.run("ip", "link", "set", ifname, "up")
            self._network = self._open_socket(False)
            self._offloading = self._open_socket(True)
        time.sleep(0.05)  # the queueing discipline comes up a moment later

    def _open_socket(self, vnet: bool) -> socket.socket:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if vnet:
            opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        opened.bind((self.ifname, 0))
        return opened

    def send(self, *frames: bytes) -> None:
        """The network sends toward the guest."""
        for each in frames:
            self._network.send(each)

    def send_offloaded(self, vnet: bytes, data: bytes) -> None:
        """Likewise, with a virtio-net header."""
        self._offloading.send(vnet + data)

    def guest_send(self, *frames: bytes) -> None:
        """The guest sends."""
        for each in frames:
            os.write(self._queue, each)

    def guest_receive(self, quiet: float = 0.0) -> List[bytes]:
        """What the guest has got; waits @quiet seconds for it first."""
        time.sleep(quiet)
        frames: List[bytes] = []
        while True:
            try:
                frames.append(os.read(self._queue, 1 << 17))
            except BlockingIOError:
                return frames

    def guest_wait(self, count: int) -> List[bytes]:
        """Waits until the guest has got so many frames."""
        frames: List[bytes] = []
        wait_until(lambda: frames.extend(self.guest_receive()) or
                   len(frames) >= count, f"{count} frames, got {len(frames)}")
        return frames

    def close(self) -> None:
        """The guest goes, and the TAP with it."""
        self._network.close()
        self._offloading.close()
        os.close(self._queue)


class Peer:
    """The other end of a chardev."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(TIMEOUT)

    def send(self, *frames: bytes) -> None:
        """Sends frames in QEMU's framing."""
        self._socket.sendall(b"".join(
            struct.pack(">I", len(each)) + each for each in frames))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the daemon closed the connection"
            data += more
        return data

    def receive(self, count: int = 1, vnet: bool = False) -> List[bytes]:
        """Receives so many frames, with @vnet header and all."""
        frames = []
        for _ in range(count):
            length, = struct.unpack(">I", self._exactly(4))
            if vnet:
                assert struct.unpack(">I", self._exactly(4))[0] in (10, 12)
            frames.append(self._exactly(length))
        return frames

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Nothing comes for so long."""
        self._socket.settimeout(seconds)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except socket.timeout:
            return True
        finally:
            self._socket.settimeout(TIMEOUT)

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()


class Daemon:
    """A running tapferryd."""

    def __init__(self, host: "Host", arguments: Sequence[str]) -> None:
        number = next(_numbers)
        path = host.directory / f"qmp{number}"
        self._log = host.directory / f"log{number}"
        program = os.environ.get("TAPFERRYD", str(TOP / "build/tapferryd"))
        with host.entered(), open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [program, *arguments, "-qmp",
                 f"unix:{path},server=on,wait=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=host.directory)
        self._host = host
        try:
            wait_until(lambda: path.exists() or self.process.poll()
                       is not None, "the monitor")
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(TIMEOUT)
            self._socket.connect(str(path))
        except BaseException:
            print(self.log)
            raise
        self._file = self._socket.makefile("rw", encoding="utf-8")
        self._file.readline()
        self.execute("qmp_capabilities")

    @property
    def log(self) -> str:
        """What it has logged."""
        return self._log.read_text(errors="replace")

    def execute(self, command: str, **arguments: Any) -> Any:
        """Executes a command; an underscore in a name that QMP spells with
        a dash is written by a ``**{"a-b": …}``."""
        self._file.write(json.dumps({"execute": command,
                                     "arguments": arguments}) + "\n")
        self._file.flush()
        while True:
            line = self._file.readline()
            assert line, f"the daemon has gone: {self.log}"
            message = json.loads(line)
            if "error" in message:
                raise QmpFailure(message["error"])
            if "return" in message:
                return message["return"]

    def add(self, kind: str, name: str, **properties: Any) -> None:
        """object-add on the netdev n0."""
        self.execute("object-add", **{"qom-type": kind, "id": name,
                                      "netdev": "n0", **properties})

    def set(self, name: str, prop: str, value: Any) -> None:
        """qom-set"""
        self.execute("qom-set", path=f"/objects/{name}", property=prop,
                     value=value)

    def get(self, name: str, prop: str) -> Any:
        """qom-get"""
        return self.execute("qom-get", path=f"/objects/{name}", property=prop)

    def counters(self, name: str) -> Dict[str, int]:
        """A filter's counters, in packets."""
        entry, = self.execute("query-netfilter-stats", name=name)
        found = {each["name"]: each["packets"]
                 for each in entry.get("counters", ())}
        found.update({key: value for key, value in entry.items()
                      if isinstance(value, int)})
        return found

    def wait_counter(self, name: str, counter: str, value: int) -> None:
        """Waits until a counter has a value."""
        wait_until(lambda: self.counters(name)[counter] >= value,
                   f"{counter} of {name} to be {value}")
        assert self.counters(name)[counter] == value

    def hang_up(self) -> None:
        """SIGHUP, and until it has been heard."""
        self.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        self.execute("query-status")

    def stop(self) -> None:
        """Ends it; it must end cleanly and have said nothing bad."""
        self._socket.close()
        self._file.close()
        self.process.terminate()
        try:
            status = self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            print(self.log)
        assert status == 0
        for word in ("Sanitizer", "runtime error", "CRITICAL", "ssertion"):
            assert word not in self.log


class Host:
    """A network namespace and a directory; both go at the end."""

    def __init__(self) -> None:
        self.name = f"tapferry-lab-{os.getpid()}-f{next(_numbers)}"
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.directory, True)
        self.run("ip", "netns", "add", self.name)
        self._stack.callback(self.run, "ip", "netns", "del", self.name)
        with self.entered():
            # Only the tests' own frames are to travel.
            for which in ("all", "default"):
                Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6"
                     ).write_text("1", encoding="ascii")

    @staticmethod
    def run(*argv: str) -> str:
        """Runs a short command."""
        return subprocess.run(argv, check=True, text=True, timeout=30,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """What is opened or started inside belongs to this host."""
        with open("/proc/thread-self/ns/net", "rb") as home, \
                open(f"/run/netns/{self.name}", "rb") as away:
            if _libc.setns(away.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                _libc.setns(home.fileno(), _CLONE_NEWNET)

    def tap(self, ifname: str = "tap0") -> Tap:
        """A new TAP."""
        tap = Tap(self, ifname)
        self._stack.callback(tap.close)
        return tap

    def daemon(self, *arguments: str) -> Daemon:
        """A daemon with the netdev n0 on tap0."""
        daemon = Daemon(self, ("-netdev", "tap,id=n0,ifname=tap0",
                               *arguments))
        self._stack.callback(daemon.stop)
        return daemon

    def chardev(self, name: str) -> List[str]:
        """Arguments for a chardev that listens."""
        return ["-chardev", f"socket,id={name},path={self.directory / name},"
                            "server=on,wait=off"]

    def peer(self, name: str) -> Peer:
        """Connects to a chardev that listens."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.directory / name))
        peer = Peer(connection)
        self._stack.callback(peer.close)
        return peer

    def path(self, name: str) -> Path:
        """A file of this test."""
        return self.directory / name

    def close(self) -> None:
        """All of it goes, in the opposite order."""
        self._stack.close()


def capture_lines(path: Path, *fields: str,
                  display: Optional[str] = None) -> List[List[str]]:
    """What tshark reads in a capture file; it must not complain."""
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields",
            *(word for field in fields for word in ("-e", field))]
    if display:
        argv += ["-Y", display]
    done = subprocess.run(argv, text=True, check=False, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    complaints = [line for line in done.stderr.splitlines()
                  if line and "Running as user" not in line]
    assert done.returncode == 0 and not complaints, complaints
    return [line.split("\t") for line in done.stdout.splitlines()]
