# SPDX-License-Identifier: BSD-2-Clause
"""The link between the two daemons, as something that can break: a relay
between two sockets that passes bytes on, stands still, or cuts and loses
what it has taken."""

import contextlib
import os
import selectors
import socket
import threading
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

from .hosts import Host

_ROOM = 1 << 18

# A unix socket's path, or an address and a port.
Place = Union[Path, Tuple[str, int]]


class Relay:
    """Listens at ``front`` and connects to ``back`` for whoever comes, on a
    host or here."""

    def __init__(self, front: Place, back: Place,
                 host: Optional[Host] = None) -> None:
        self._front, self._back, self._host = front, back, host
        self._stalled = self._down = False
        self._waiting: Dict[socket.socket, bytes] = {}  # to be sent to it
        self._peers: Dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._listener: Optional[socket.socket] = None
        self._listen()
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _socket(self, place: Place) -> Tuple[socket.socket, Any]:
        """A socket on the host, and the address that it is for."""
        with self._host.entered() if self._host else contextlib.nullcontext():
            if isinstance(place, Path):
                return socket.socket(socket.AF_UNIX), str(place)
            return socket.socket(), place

    def _listen(self) -> None:
        self._listener, address = self._socket(self._front)
        if isinstance(self._front, Path):
            self._front.unlink(missing_ok=True)
        else:
            self._listener.setsockopt(socket.SOL_SOCKET,
                                      socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._listener.listen(4)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    # What tests do

    def stall(self, stalled: bool = True) -> None:
        """Pass nothing on, or go on."""
        with self._lock:
            self._stalled = stalled
        self._wake()

    def cut(self) -> None:
        """Break what is connected, lose what is under way, and let nobody
        in until restore()."""
        with self._lock:
            self._down = True
            while self._peers:
                self._forget(next(iter(self._peers)))
            if self._listener:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None
                if isinstance(self._front, Path):
                    self._front.unlink(missing_ok=True)

    def restore(self) -> None:
        """Let them connect again."""
        with self._lock:
            self._down = False
            self._listen()
        self._wake()

    def close(self) -> None:
        """End."""
        self._ended = True
        self._wake()
        self._thread.join(10)
        while self._peers:
            self._forget(next(iter(self._peers)))
        if self._listener:
            self._listener.close()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # The thread

    def _run(self) -> None:
        while not self._ended:
            for key, mask in self._selector.select(0.05):
                with self._lock:
                    self._serve(key.fileobj, mask)
            with self._lock:
                for end in list(self._peers):
                    if end in self._peers:
                        self._watch(end)

    def _serve(self, fileobj: object, mask: int) -> None:
        if fileobj == self._wake_read:
            os.read(self._wake_read, 4096)
        elif fileobj is self._listener:
            self._accept()
        elif isinstance(fileobj, socket.socket) and fileobj in self._peers:
            self._move(fileobj, mask)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            front, _ = self._listener.accept()
            back, address = self._socket(self._back)
            try:
                back.connect(address)
            except OSError:
                front.close()
                back.close()
                return
            for end, peer in ((front, back), (back, front)):
                end.setblocking(False)
                self._peers[end] = peer
                self._waiting[end] = b""
                self._selector.register(end, selectors.EVENT_READ)

    def _move(self, end: socket.socket, mask: int) -> None:
        peer = self._peers[end]
        try:
            if mask & selectors.EVENT_WRITE and self._waiting[end]:
                sent = end.send(self._waiting[end])
                self._waiting[end] = self._waiting[end][sent:]
            if mask & selectors.EVENT_READ and \
                    len(self._waiting[peer]) < _ROOM:
                data = end.recv(_ROOM)
                if not data:
                    self._leave(end)
                    return
                self._waiting[peer] += data
        except BlockingIOError:
            pass
        except OSError:
            self._leave(end)

    def _leave(self, end: socket.socket) -> None:
        """It has closed, perhaps with something unread: its last words still
        go to its peer."""
        peer = self._peers[end]
        with contextlib.suppress(OSError):
            while data := end.recv(_ROOM):
                self._waiting[peer] += data
        with contextlib.suppress(OSError):
            peer.send(self._waiting[peer])
        self._forget(end)

    def _watch(self, end: socket.socket) -> None:
        """Choose what is waited for, after every change."""
        events = 0
        if not self._stalled:
            if len(self._waiting[self._peers[end]]) < _ROOM:
                events |= selectors.EVENT_READ
            if self._waiting[end]:
                events |= selectors.EVENT_WRITE
        registered = self._selector.get_map().get(end)
        if registered is None:
            if events:
                self._selector.register(end, events)
        elif not events:
            self._selector.unregister(end)
        elif registered.events != events:
            self._selector.modify(end, events)

    def _forget(self, end: socket.socket) -> None:
        for each in (end, self._peers[end]):
            if self._selector.get_map().get(each) is not None:
                self._selector.unregister(each)
            del self._peers[each], self._waiting[each]
            each.close()
