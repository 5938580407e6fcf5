# SPDX-License-Identifier: BSD-2-Clause
"""Peers that speak the wire format (a length, then the frame) themselves,
so that they can also speak it badly, slowly, or half."""

import socket
import struct
from pathlib import Path
from typing import Iterable, List, Optional, Union

from .frames import Frame
from .hosts import VNET_HDR_LEN, VNET_HDR_NONE
from .waiting import GENEROUS, wait_until

RECORD = 1 << 31  # in a length word; see docs/design/0004-link.md


def encode(frames: Iterable[bytes]) -> bytes:
    """Frames as they go over the wire."""
    return b"".join(struct.pack(">I", len(frame)) + frame
                    for frame in frames)


def encode_vnet(frames: Iterable[Frame]) -> bytes:
    """Frames with virtio-net headers as they go over the wire."""
    message = b""
    for frame in frames:
        payload = (frame.vnet or VNET_HDR_NONE) + frame.data
        message += struct.pack(">II", len(payload), VNET_HDR_LEN) + payload
    return message


class PeerGone(AssertionError):
    """The daemon closed the connection."""


class Peer:
    """One end of a connection to the daemon."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.socket.settimeout(GENEROUS)
        self._input = b""

    @classmethod
    def connect(cls, path: Path) -> "Peer":
        """Connect to a unix socket, which need not be there yet."""
        connection = socket.socket(socket.AF_UNIX)
        wait_until(lambda: connection.connect_ex(str(path)) == 0,
                   f"somebody to listen at {path}")
        return cls(connection)

    def fileno(self) -> int:
        """The descriptor."""
        return self.socket.fileno()

    def send_bytes(self, message: bytes) -> None:
        """Send bytes, whatever they mean; waits for room."""
        self.socket.sendall(message)

    def send(self, *frames: Union[bytes, Iterable[bytes]]) -> None:
        """Send frames, one by one or in lists."""
        for each in frames:
            self.send_bytes(encode([each] if isinstance(each, bytes)
                                   else each))

    def send_some(self, message: bytes) -> int:
        """Send what can be sent without waiting; returns how much."""
        sent = 0
        self.socket.setblocking(False)
        try:
            while sent < len(message):
                sent += self.socket.send(message[sent:sent + 65536])
        except BlockingIOError:
            pass
        self.socket.settimeout(GENEROUS)
        return sent

    def receive_bytes(self, count: int) -> bytes:
        """Receive so many bytes."""
        while len(self._input) < count:
            more = self.socket.recv(1 << 20)
            if not more:
                raise PeerGone("the daemon closed the connection")
            self._input += more
        taken, self._input = self._input[:count], self._input[count:]
        return taken

    def receive_one(self, vnet: bool = False) -> bytes:
        """Receive a frame, with ``vnet`` its virtio-net header in front.
        What a source says to a peer that acknowledges is passed over."""
        length, = struct.unpack(">I", self.receive_bytes(4))
        while length & RECORD:
            self.receive_bytes(length & ~RECORD)
            length, = struct.unpack(">I", self.receive_bytes(4))
        assert length <= 1 << 17, f"no frame is {length} bytes long"
        if vnet:
            header, = struct.unpack(">I", self.receive_bytes(4))
            assert header in (10, 12), f"{header} bytes are no such header"
        return self.receive_bytes(length)

    def receive(self, count: int = 1, vnet: bool = False) -> List[bytes]:
        """Receive so many frames."""
        return [self.receive_one(vnet) for _ in range(count)]

    def wait_closed(self) -> None:
        """Wait until the daemon closes the connection."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Has nothing been received that was not asked for, and does
        nothing come for so long?"""
        if self._input:
            return False
        self.socket.settimeout(seconds)
        try:
            self._input += self.socket.recv(1 << 16)
        except TimeoutError:
            pass
        self.socket.settimeout(GENEROUS)
        return not self._input

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def wait_carries(one: Peer, other: Peer) -> None:
    """Wait until frames pass from one to the other: to connect is quicker
    than QEMU's accept, and what comes before it QEMU drops."""
    def carries() -> bool:
        one.send(b"probe")
        return not other.is_silent(0.2)

    last = b"the last probe"
    wait_until(carries, "frames to pass")
    one.send(last)
    while other.receive_one() != last:
        pass


class Pair:
    """A socket pair: our end, and one that another program inherits."""

    def __init__(self, kind: int = socket.SOCK_STREAM) -> None:
        self.end, self._other = socket.socketpair(socket.AF_UNIX, kind)
        self.end.settimeout(GENEROUS)
        self.wire = Peer(self.end)
        self.fd = self._other.fileno()

    def passed(self) -> None:
        """The other program has it."""
        self._other.close()

    def close(self) -> None:
        """Close both ends."""
        self.end.close()
        self._other.close()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of 127.0.0.1 that nobody has."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Listener:
    """Waits on a unix socket for a chardev that connects."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(4)
        self._socket.settimeout(GENEROUS)

    def accept(self, receive_buffer: Optional[int] = None) -> Peer:
        """The next connection."""
        connection, _ = self._socket.accept()
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                  receive_buffer)
        return Peer(connection)

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)
