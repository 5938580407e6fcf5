# SPDX-License-Identifier: BSD-2-Clause
"""The scripted VMM, a process of its own (see vmm.py for its other end).

It does to its TAPs and to its monitor exactly what it is told: takes frames
for the guest, stops taking them, takes some that the guest never sees, lets
the virtual machine stop and resume.  The used index of the guest's receive
queue lies in this process's memory, as it does with a real VMM.

Run as: vmm_process.py FD, where FD is a connection that carries requests
(name, arguments) and answers (succeeded, value).
"""

import ctypes
import fcntl
import json
import os
import select
import selectors
import socket
import struct
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any, Dict, List, Optional, Tuple

TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000
VNET_HDR_LEN = 10
FRAME_MAX = 1 << 17
READ_TIMEOUT = 30.0
READS_AT_ONCE = 64
# Where the receive queues' used rings lie in the guest's memory: one page
# each from here on.
GUEST_PHYSICAL = 0x100000
PAGE = 4096
# A split ring (virtio 1.2, 2.7.8): flags, index, and so many entries.
RING_SIZE = 256
# What one receive buffer takes with mergeable buffers, its header included.
BUFFER_LEN = 1536
HEADER_LEN = 12
# So that the index wraps soon.
USED_START = 0xFFF0

RecordedFrame = Tuple[Optional[bytes], bytes]


class UsedEntry(ctypes.LittleEndianStructure):
    """A buffer that was used."""

    _fields_ = [("id", ctypes.c_uint32), ("len", ctypes.c_uint32)]


class UsedRing(ctypes.LittleEndianStructure):
    """A used ring."""

    _fields_ = [("flags", ctypes.c_uint16), ("index", ctypes.c_uint16),
                ("entries", UsedEntry * RING_SIZE)]

    def use(self, length: int) -> None:
        """Write a frame of so many bytes, its header included."""
        index = self.index
        for written in range(0, length, BUFFER_LEN):
            self.entries[index % RING_SIZE].len = \
                min(BUFFER_LEN, length - written)
            index += 1
        self.index = index & 0xFFFF


class Nic:
    """A TAP, and the guest's receive queue behind it."""

    def __init__(self, ifname: str, vnet: bool, offloads: int) -> None:
        self.ifname = ifname
        self.reading = False
        self.vnet = vnet
        self.frames: List[RecordedFrame] = []  # what the guest got
        self.kept: List[RecordedFrame] = []  # taken while it could not
        self._ring = UsedRing(0, USED_START)
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet else 0)
        fcntl.ioctl(self.fd, TUNSETIFF,
                    struct.pack("16sH22x", ifname.encode(), flags))
        if vnet:
            fcntl.ioctl(self.fd, TUNSETOFFLOAD, offloads)

    @property
    def used(self) -> int:
        """The used index."""
        return self._ring.index

    @property
    def ring_address(self) -> int:
        """Where the used ring lies in this process."""
        return ctypes.addressof(self._ring)

    def take(self) -> RecordedFrame:
        """Take the next frame out of the TAP; BlockingIOError if there is
        none."""
        frame = os.read(self.fd, FRAME_MAX)
        if self.vnet:
            return frame[:VNET_HDR_LEN], frame[VNET_HDR_LEN:]
        return None, frame

    def take_waiting(self) -> RecordedFrame:
        """Take the next frame, wait for it if need be."""
        end = time.monotonic() + READ_TIMEOUT
        while True:
            try:
                return self.take()
            except BlockingIOError:
                pass
            if not select.select([self.fd], [], [], 0.1)[0] and \
                    time.monotonic() > end:
                raise TimeoutError(f"no frame on {self.ifname}")

    def give(self, frame: RecordedFrame) -> None:
        """The guest gets a frame."""
        self.frames.append(frame)
        self._ring.use(HEADER_LEN + len(frame[1]))

    def pump(self) -> None:
        """Give the guest what has come."""
        try:
            for _ in range(READS_AT_ONCE):
                self.give(self.take())
        except BlockingIOError:
            pass


class Monitor:
    """A QMP server."""

    def __init__(self, vmm: "Vmm", path: str) -> None:
        self._vmm = vmm
        self._path = path
        self._clients: Dict[socket.socket, bytes] = {}
        self._negotiated: List[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(8)
        vmm.selector.register(self._listener, selectors.EVENT_READ,
                              self._accept)

    def close(self) -> None:
        """Go away, with all connections."""
        for client in list(self._clients):
            self._hang_up(client)
        self._vmm.selector.unregister(self._listener)
        self._listener.close()
        os.unlink(self._path)

    def emit(self, event: str, data: Optional[Dict[str, Any]]) -> None:
        """Send an event to whoever has negotiated."""
        now = time.time_ns() // 1000
        message: Dict[str, Any] = {
            "timestamp": {"seconds": now // 1000000,
                          "microseconds": now % 1000000},
            "event": event}
        if data is not None:
            message["data"] = data
        for client in self._negotiated:
            self._send(client, message)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self._clients[client] = b""
        self._vmm.selector.register(client, selectors.EVENT_READ,
                                    lambda: self._read(client))
        self._send(client, {"QMP": {
            "version": {"qemu": {"micro": 22, "minor": 2, "major": 7},
                        "package": "scripted"},
            "capabilities": ["oob"]}})

    def _hang_up(self, client: socket.socket) -> None:
        self._vmm.selector.unregister(client)
        del self._clients[client]
        if client in self._negotiated:
            self._negotiated.remove(client)
        client.close()

    def _send(self, client: socket.socket, message: Dict[str, Any]) -> None:
        client.sendall(json.dumps(message).encode() + b"\r\n")

    def _read(self, client: socket.socket) -> None:
        try:
            more = client.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            self._hang_up(client)
            return
        *lines, self._clients[client] = \
            (self._clients[client] + more).split(b"\n")
        for line in lines:
            self._execute(client, json.loads(line))

    def _execute(self, client: socket.socket,
                 request: Dict[str, Any]) -> None:
        command = request["execute"]
        self._vmm.commands.append(command)
        if command == "qmp_capabilities":
            self._negotiated.append(client)
            reply: Dict[str, Any] = {"return": {}}
        elif client not in self._negotiated:
            reply = _error("CommandNotFound", "expecting qmp_capabilities")
        else:
            reply = self._vmm.answer(command, request.get("arguments", {}))
        self._send(client, {**reply, "id": request.get("id")})


def _error(kind: str, text: str) -> Dict[str, Any]:
    return {"error": {"class": kind, "desc": text}}


class Vmm:
    """What the requests of the other end are made to; each public method
    named do_NAME is one."""

    def __init__(self, connection: Connection) -> None:
        self.selector = selectors.DefaultSelector()
        self.commands: List[str] = []  # that came over the monitor
        self._connection = connection
        self._nics: Dict[str, Nic] = {}
        self._monitor: Optional[Monitor] = None
        self._status = "running"
        self._migration: Optional[str] = None
        self._capabilities = {"events": True}
        self._virtio = True
        self._features: List[str] = []
        self.selector.register(connection, selectors.EVENT_READ,
                               self._request)

    def run(self) -> None:
        """Serve until the other end is gone."""
        while True:
            for key, _ in self.selector.select():
                if key.fileobj in self.selector.get_map():
                    key.data()

    def _request(self) -> None:
        try:
            name, arguments = self._connection.recv()
        except EOFError:
            sys.exit(0)
        try:
            answer = True, getattr(self, f"do_{name}")(**arguments)
        except Exception:  # pylint: disable=broad-except
            answer = False, traceback.format_exc()
        self._connection.send(answer)

    # TAPs

    def do_open(self, ifname: str, vnet: bool, offloads: int) -> None:
        """Open a TAP; nothing is read yet."""
        self._nics[ifname] = Nic(ifname, vnet, offloads)

    def do_close(self, ifname: str) -> None:
        """Close a TAP; what the guest got is forgotten."""
        self.do_read(ifname, False)
        os.close(self._nics.pop(ifname).fd)

    def do_read(self, ifname: str, reading: bool) -> None:
        """Read a TAP as frames come, or leave them there."""
        nic = self._nics[ifname]
        if reading != nic.reading:
            nic.reading = reading
            if reading:
                self.selector.register(nic.fd, selectors.EVENT_READ, nic.pump)
            else:
                self.selector.unregister(nic.fd)

    def do_write(self, ifname: str, frames: List[bytes]) -> None:
        """The guest sends frames."""
        nic = self._nics[ifname]
        for frame in frames:
            os.write(nic.fd, (bytes(VNET_HDR_LEN) if nic.vnet else b"") +
                     frame)

    def do_swallow(self, ifname: str, count: int) -> None:
        """Take exactly so many frames that the guest does not see."""
        nic = self._nics[ifname]
        for _ in range(count):
            nic.kept.append(nic.take_waiting())

    def do_give_kept(self, ifname: str) -> None:
        """Give the guest what was swallowed."""
        nic = self._nics[ifname]
        while nic.kept:
            nic.give(nic.kept.pop(0))

    def do_forget_kept(self, ifname: str) -> None:
        """Nobody gets what was swallowed."""
        self._nics[ifname].kept.clear()

    def do_frames(self, ifname: str) -> List[RecordedFrame]:
        """What the guest got."""
        return self._nics[ifname].frames

    def do_count(self, ifname: str) -> int:
        """How many frames the guest got."""
        return len(self._nics[ifname].frames)

    # The monitor

    def do_set_features(self, names: List[str]) -> None:
        """What the guest's driver has agreed to besides."""
        self._features = names

    def do_serve(self, path: str, events: bool, virtio: bool) -> None:
        """Open the monitor."""
        self._capabilities["events"] = events
        self._virtio = virtio
        self._monitor = Monitor(self, path)

    def do_unserve(self) -> None:
        """Close the monitor and its connections."""
        if self._monitor:
            self._monitor.close()
        self._monitor = None

    def do_set_status(self, status: str) -> None:
        """Change the run state without a word."""
        self._status = status

    def do_emit(self, event: str, data: Optional[Dict[str, Any]]) -> None:
        """Send an event."""
        if event == "MIGRATION" and data:
            self._migration = data["status"]
        if self._monitor:
            self._monitor.emit(event, data)

    def do_commands(self) -> List[str]:
        """The commands that came over the monitor."""
        return self.commands

    def answer(self, command: str, arguments: Dict[str, Any]
               ) -> Dict[str, Any]:
        """The reply to a command, without its id."""
        handler = getattr(self, "_qmp_" + command.replace("-", "_"), None)
        if handler is None or ("virtio" in command and not self._virtio):
            return _error("CommandNotFound",
                          f"The command {command} has not been found")
        return {"return": handler(**{key.replace("-", "_"): value
                                     for key, value in arguments.items()})}

    def _qmp_query_status(self) -> Dict[str, Any]:
        return {"status": self._status, "singlestep": False,
                "running": self._status == "running"}

    def _qmp_query_migrate_capabilities(self) -> List[Dict[str, Any]]:
        return [{"capability": "xbzrle", "state": False},
                {"capability": "events",
                 "state": self._capabilities["events"]}]

    def _qmp_query_migrate(self) -> Dict[str, Any]:
        return {"status": self._migration} if self._migration else {}

    def _qmp_human_monitor_command(self, command_line: str) -> str:
        if command_line == "info network":
            return "".join(
                f"net{i}: index=0,type=nic,model=virtio-net-pci,"
                f"macaddr=52:54:00:12:34:56\r\n"
                f" \\ hn{i}: index=0,type=tap,ifname={ifname},script=no,"
                f"downscript=no\r\n"
                for i, ifname in enumerate(self._nics))
        if command_line.startswith("gpa2hva "):
            address = int(command_line.split()[1], 16)
            nic = list(self._nics.values())[
                (address - GUEST_PHYSICAL) // PAGE]
            return (f"Host virtual address for 0x{address:x} (pc.ram) is "
                    f"0x{nic.ring_address:x}\r\n")
        return f"unknown command: '{command_line}'\r\n"

    def _qmp_x_query_virtio(self) -> List[Dict[str, Any]]:
        return [{"name": "virtio-balloon",
                 "path": "/machine/peripheral/balloon0/virtio-backend"},
                *({"name": "virtio-net",
                   "path": f"/machine/peripheral/net{i}/virtio-backend"}
                  for i in range(len(self._nics)))]

    def _qmp_qom_get(self, path: str, **arguments: str) -> str:
        assert arguments["property"] == "netdev"
        return path.rsplit("/", 1)[1].replace("net", "hn")

    def _qmp_x_query_virtio_status(self, path: str) -> Dict[str, Any]:
        return {"name": "virtio-net", "path": path,
                "guest-features": {
                    "transports": [f"{name}: of any device" for name in
                                   ("VIRTIO_F_VERSION_1", *self._features)],
                    "dev-features": ["VIRTIO_NET_F_MRG_RXBUF: Driver can "
                                     "merge receive buffers"]}}

    def _qmp_x_query_virtio_queue_status(self, path: str, queue: int
                                         ) -> Dict[str, Any]:
        number = int(path.split("/")[-2].replace("net", ""))
        return {"name": "virtio-net", "queue-index": queue,
                "vring-num": RING_SIZE,
                "vring-used": GUEST_PHYSICAL + number * PAGE,
                "used-idx": list(self._nics.values())[number].used}


if __name__ == "__main__":
    Vmm(Connection(int(sys.argv[1]))).run()
