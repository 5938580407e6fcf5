# SPDX-License-Identifier: BSD-2-Clause
"""Peers that speak the wire format (a length, then the frame) themselves,
so that they can also speak it badly, slowly, or half."""

import socket
import struct
from pathlib import Path
from typing import Iterable, List, Optional

from .frames import Frame
from .hosts import VNET_HDR_LEN, VNET_HDR_NONE
from .waiting import GENEROUS


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
        self._socket = connection
        self._socket.settimeout(GENEROUS)
        self._input = b""

    @classmethod
    def connect(cls, path: Path) -> "Peer":
        """Connect to a chardev that listens on a unix socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        return cls(connection)

    def send_bytes(self, message: bytes) -> None:
        """Send bytes, whatever they mean; waits for room."""
        self._socket.sendall(message)

    def send(self, frames: Iterable[bytes]) -> None:
        """Send frames."""
        self.send_bytes(encode(frames))

    def send_some(self, message: bytes) -> int:
        """Send what can be sent without waiting; returns how much."""
        sent = 0
        self._socket.setblocking(False)
        try:
            while sent < len(message):
                sent += self._socket.send(message[sent:sent + 65536])
        except BlockingIOError:
            pass
        self._socket.settimeout(GENEROUS)
        return sent

    def receive_bytes(self, count: int) -> bytes:
        """Receive so many bytes."""
        while len(self._input) < count:
            more = self._socket.recv(1 << 20)
            if not more:
                raise PeerGone("the daemon closed the connection")
            self._input += more
        taken, self._input = self._input[:count], self._input[count:]
        return taken

    def receive(self, count: int) -> List[bytes]:
        """Receive so many frames."""
        frames = []
        for _ in range(count):
            length, = struct.unpack(">I", self.receive_bytes(4))
            assert length <= 1 << 17, f"no frame is {length} bytes long"
            frames.append(self.receive_bytes(length))
        return frames

    def wait_closed(self) -> None:
        """Wait until the daemon closes the connection."""
        try:
            while self._socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass

    def nothing_comes(self, seconds: float = 0.1) -> bool:
        """Has nothing been received that was not asked for?"""
        self._socket.settimeout(seconds)
        try:
            self._input += self._socket.recv(1 << 16)
        except TimeoutError:
            pass
        self._socket.settimeout(GENEROUS)
        return not self._input

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


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
