# SPDX-License-Identifier: BSD-2-Clause
"""TLS on socket chardevs: whom they talk to and whom not, and that every
byte gets through, whoever is at the other end and whatever he does."""

import contextlib
import json
import random
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from lib.certificates import EXPIRED, Authority, make_psk
from lib.daemon import QmpFailure, alone, program
from lib.program import Program
from lib.qemu import Qemu, needs_qemu
from lib.qemu import program as qemu
from lib.waiting import wait_until
from lib.wire import Pair, Peer, encode, free_port



class Keys:
    """Credentials of all kinds, made once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority(directory / "authority")
        self.other = Authority(directory / "other")
        self.good = self.authority.issue(directory / "good", "server")
        self.authority.issue(self.good, "client")
        self.anonymous = self.authority.trust(directory / "anonymous")
        self.expired = self.authority.issue(directory / "expired", "server",
                                            lasts=EXPIRED)
        self.stranger = self.authority.issue(
            directory / "stranger", "server", ("dns_name = elsewhere",))
        self.foreign = self.other.issue(directory / "foreign", "server")
        self.other.issue(self.foreign, "client")
        # Trusts our authority, but is vouched for by the other.
        self.intruder = self.other.issue(directory / "intruder", "client")
        self.authority.trust(self.intruder)
        self.strict = self.authority.issue(directory / "strict", "server")
        self.authority.revoke(self.good / "client-cert.pem", self.strict)
        self.psk = make_psk(directory / "psk", "qemu", "bob")
        self.other_psk = make_psk(directory / "other-psk", "qemu")


@pytest.fixture(scope="module", name="keys")
def fixture_keys(tmp_path_factory: Any) -> Keys:
    """Credentials of all kinds."""
    return Keys(tmp_path_factory.mktemp("keys"))


def creds(directory: Path, endpoint: str, more: str = "") -> List[str]:
    """The option for the credentials t, of the type that lies there."""
    kind = "psk" if (directory / "keys.psk").exists() else "x509"
    return ["-object", f"tls-creds-{kind},id=t,dir={directory},"
            f"endpoint={endpoint}{more}"]


def chardev(port: int, endpoint: str, name: str = "c") -> List[str]:
    """The option for a chardev with the credentials t."""
    mode = "server=on,wait=off" if endpoint == "server" else "reconnect=1"
    return ["-chardev", f"socket,id={name},host=127.0.0.1,port={port},{mode},"
            "tls-creds=t"]


@contextlib.contextmanager
def sender(kind: Any, *options: str) -> Iterator[Tuple[Any, Peer]]:
    """A program that sends what comes from our wire out to chardev c."""
    with _at_netdev(kind, "queue=tx,outdev=c", *options) as made:
        yield made


@contextlib.contextmanager
def receiver(kind: Any, *options: str) -> Iterator[Tuple[Any, Peer]]:
    """A program that sends what comes from chardev c to our wire."""
    with _at_netdev(kind, "queue=rx,indev=c", *options) as made:
        yield made


@contextlib.contextmanager
def _at_netdev(kind: Any, redirector: str, *options: str
               ) -> Iterator[Tuple[Any, Peer]]:
    pair = Pair()
    hub = ["-netdev", "hubport,id=h,hubid=0,netdev=b"] if kind is Qemu else []
    with kind("-netdev", f"socket,id=b,fd={pair.fd}", *hub, *options,
              "-object", f"filter-redirector,id=r,netdev=b,{redirector}",
              pass_fds=[pair.fd]) as program:
        pair.passed()
        yield program, pair.wire
        pair.end.close()


def is_connected(program: Program, name: str = "c") -> bool:
    """Has the chardev a peer?"""
    return any(entry["label"] == name and
               "disconnected" not in entry["filename"]
               for entry in program.execute("query-chardev"))


def wait_connected(*programs: Program) -> None:
    """Wait until the chardev c of each has a peer."""
    for program in programs:
        wait_until(lambda p=program: is_connected(p),  # type: ignore[misc]
                   lambda: "not connected")


def some_frames(count: int, largest: int, seed: int) -> List[bytes]:
    """Frames of any size."""
    generator = random.Random(seed)
    return [generator.randbytes(generator.randint(14, largest))
            for _ in range(count)]


def check_carries(source: Peer, target: Peer, frames: List[bytes]) -> None:
    """All frames arrive, byte for byte, in order."""
    thread = threading.Thread(target=source.send, args=frames)
    thread.start()
    for number, frame in enumerate(frames):
        assert target.receive_one() == frame, f"frame {number}"
    thread.join()


@contextlib.contextmanager
def nudged(wire: Peer, size: int) -> Iterator[Peer]:
    """The wire, on which small frames follow once all of this size is sent.
    QEMU 7.2, once in some hundred runs, leaves the end of a TLS record lie
    until more comes: it has read all there is from its socket."""
    sent, over = threading.Event(), threading.Event()

    class Counting(Peer):
        """Tells when all is sent."""

        def send(self, *frames: bytes) -> None:
            super().send(*frames)
            if len(encode(frames)) == size:
                sent.set()

    def nudge() -> None:
        sent.wait(60)
        while not over.wait(0.1):
            wire.send(b"nudge" * 12)

    thread = threading.Thread(target=nudge)
    thread.start()
    try:
        yield Counting(wire.socket)
    finally:
        sent.set()
        over.set()
        thread.join()


def pairs(keys: Keys) -> Dict[str, Tuple[List[str], List[str]]]:
    """The options of a server and a client that accept each other."""
    return {
        "x509": (creds(keys.good, "server"), creds(keys.good, "client")),
        "x509-server-only": (creds(keys.good, "server", ",verify-peer=off"),
                             creds(keys.anonymous, "client")),
        "x509-unverified": (
            creds(keys.foreign, "server", ",verify-peer=off"),
            creds(keys.good, "client", ",verify-peer=off")),
        "psk": (creds(keys.psk, "server"), creds(keys.psk, "client")),
        "psk-bob": (creds(keys.psk, "server"),
                    creds(keys.psk, "client", ",username=bob")),
        "tls-1.2": (
            creds(keys.good, "server", ",priority=NORMAL:-VERS-TLS1.3"),
            creds(keys.good, "client")),
    }


KINDS = ["x509", "x509-server-only", "x509-unverified", "psk", "psk-bob",
         "tls-1.2"]


@pytest.mark.parametrize("server_sends", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_frames(keys: Keys, kind: str, server_sends: bool) -> None:
    """A thousand frames from one daemon to the other, large ones as well."""
    server, client = pairs(keys)[kind]
    port = free_port()
    ends = [server + chardev(port, "server"), client + chardev(port, "client")]
    if server_sends:
        ends.reverse()
    with receiver(alone, *ends[0]) as (target, target_wire), \
            sender(alone, *ends[1]) as (source, source_wire):
        wait_connected(target, source)
        check_carries(source_wire, target_wire,
                      some_frames(1000, 1514, 1) + some_frames(50, 65535, 2))
        wait_until(lambda: source.counter("r", "outdev") == 1050,
                   lambda: str(source.counter("r", "outdev")))
        assert target.counter("r", "indev") == 1050


@needs_qemu
@pytest.mark.parametrize("qemu_serves", [False, True])
@pytest.mark.parametrize("qemu_sends", [False, True])
@pytest.mark.parametrize("kind", ["x509", "x509-server-only", "psk"])
def test_qemu(keys: Keys, kind: str, qemu_sends: bool, qemu_serves: bool
              ) -> None:
    """QEMU at the other end, as server and as client, both ways."""
    server, client = pairs(keys)[kind]
    port = free_port()
    server += chardev(port, "server")
    client += chardev(port, "client")
    theirs, ours = (server, client) if qemu_serves else (client, server)
    make_theirs, make_ours = \
        (sender, receiver) if qemu_sends else (receiver, sender)
    with make_ours(alone, *ours) as (daemon, our_wire), \
            make_theirs(Qemu, *theirs) as (other, their_wire):
        wait_connected(daemon, other)
        frames = some_frames(1000, 1514, 3)
        if qemu_sends:
            check_carries(their_wire, our_wire, frames)
        else:
            with nudged(our_wire, len(encode(frames))) as wire:
                check_carries(wire, their_wire, frames)


# Monitors, and the tools of others

def context(keys: Keys) -> ssl.SSLContext:
    """OpenSSL, as a client."""
    made = ssl.create_default_context(cafile=str(keys.authority.cert))
    made.load_cert_chain(keys.good / "client-cert.pem",
                         keys.good / "client-key.pem")
    return made


def monitor(keys: Keys, port: int) -> List[str]:
    """The options for a QMP monitor with TLS."""
    return [*creds(keys.good, "server"), *chardev(port, "server"), "-mon",
            "chardev=c,mode=control"]


def test_monitor(keys: Keys) -> None:
    """A monitor reads less at a time than a record holds; what is left of the
    record is read although nothing more comes."""
    port = free_port()
    with alone(*monitor(keys, port)), \
            socket.create_connection(("127.0.0.1", port), 20) as plain, \
            context(keys).wrap_socket(plain, server_hostname="localhost") \
            as connection, connection.makefile("rb") as replies:
        assert b"QMP" in replies.readline()
        requests = b'{"execute": "qmp_capabilities"}' + b"".join(
            json.dumps({"execute": "query-status", "id": i}).encode()
            for i in range(300))
        connection.sendall(requests)
        assert json.loads(replies.readline()) == {"return": {}}
        assert [json.loads(replies.readline())["id"]
                for _ in range(300)] == list(range(300))


@pytest.mark.parametrize("tool", ["gnutls", "openssl"])
def test_tools(keys: Keys, tool: str) -> None:
    """What people try first."""
    port = free_port()
    argv = {
        "gnutls": ["gnutls-cli", "--x509cafile", "authority/ca.pem",
                   "--x509certfile", "good/client-cert.pem", "--x509keyfile",
                   "good/client-key.pem", "--port", str(port), "localhost"],
        "openssl": ["openssl", "s_client", "-quiet", "-verify_return_error",
                    "-CAfile", "authority/ca.pem", "-cert",
                    "good/client-cert.pem", "-key", "good/client-key.pem",
                    "-connect", f"localhost:{port}"],
    }[tool]
    with alone(*monitor(keys, port)) as daemon, subprocess.Popen(
            argv, cwd=keys.directory, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin and process.stdout
        process.stdin.write(b'{"execute": "qmp_capabilities"}\n'
                            b'{"execute": "query-status", "id": "here"}\n'
                            b'{"execute": "quit"}\n')
        process.stdin.flush()
        # The daemon ends, which ends the tool.
        assert b'"id": "here"' in process.stdout.read()
        process.stdin.close()
        daemon.wait_end()


# Who is refused

def refusals(keys: Keys) -> Dict[str, Any]:
    """The options of a server and a client that do not accept each other,
    and what each of them says."""
    return {
        "wrong-server": (
            creds(keys.foreign, "server"), creds(keys.good, "client"),
            "known issuer", "the peer says"),
        "wrong-client": (
            creds(keys.good, "server"),
            creds(keys.intruder, "client", ",sanity-check=off"),
            "the peer says", "known issuer"),
        "no-client-certificate": (
            creds(keys.good, "server"), creds(keys.anonymous, "client"),
            "the peer says", "ertificate is required"),
        "expired": (
            creds(keys.expired, "server", ",sanity-check=off"),
            creds(keys.good, "client"), "has expired", "the peer says"),
        "wrong-host": (
            creds(keys.stranger, "server"), creds(keys.good, "client"),
            "does not match the hostname 127.0.0.1", "the peer says"),
        "revoked": (
            creds(keys.strict, "server"), creds(keys.good, "client"),
            "the peer says", "has been revoked"),
        "wrong-key": (
            creds(keys.other_psk, "server"), creds(keys.psk, "client"),
            "the peer says", ""),
        "unknown-user": (
            creds(keys.other_psk, "server"),
            creds(keys.psk, "client", ",username=bob"), "the peer says", ""),
        "nothing-in-common": (
            creds(keys.good, "server", ",priority=NORMAL:-VERS-TLS1.3"),
            creds(keys.good, "client",
                  ",priority=NORMAL:-VERS-ALL:+VERS-TLS1.3"),
            "the peer says", ""),
    }


@pytest.mark.parametrize("case", [
    "wrong-server", "wrong-client", "no-client-certificate", "expired",
    "wrong-host", "revoked", "wrong-key", "unknown-user",
    "nothing-in-common"])
def test_refused(keys: Keys, tmp_path: Path, case: str) -> None:
    """Both say why; nothing passes; who comes with the right ones next, is
    let in."""
    server, client, client_says, server_says = refusals(keys)[case]
    port = free_port()
    logs = {name: tmp_path / name for name in ("server", "client")}

    def says(name: str, text: str) -> bool:
        return text in logs[name].read_text(encoding="utf-8")

    with receiver(alone, "-D", str(logs["server"]), *server,
                  *chardev(port, "server")) as (daemon, wire):
        with sender(alone, "-D", str(logs["client"]), *client,
                    *chardev(port, "client")) as (_other, other_wire):
            wait_until(lambda: says("client", client_says),
                       lambda: logs["client"].read_text(encoding="utf-8"))
            wait_until(lambda: says("server", "TLS handshake with tcp:") and
                       says("server", server_says),
                       lambda: logs["server"].read_text(encoding="utf-8"))
            other_wire.send(b"x" * 60)
            assert wire.is_silent()
            assert daemon.counter("r", "indev") == 0
        daemon.execute("object-del", id="r")
        daemon.execute("chardev-remove", id="c")
        daemon.execute("object-del", id="t")


# Hostile peers

class Cutter(threading.Thread):
    """Stands between a client and a server and cuts the first connections
    after so many bytes of the client's."""

    def __init__(self, server: int, cuts: List[int]) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._cuts = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._server))
            limit = self._cuts.pop(0) if self._cuts else None
            back = threading.Thread(target=_pump, args=(far, near, None),
                                    daemon=True)
            back.start()
            _pump(near, far, limit)
            back.join()
            near.close()
            far.close()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


def _pump(source: socket.socket, target: socket.socket,
          limit: Optional[int]) -> None:
    left = 1 << 40 if limit is None else limit
    try:
        while left > 0:
            data = source.recv(min(left, 65536))
            if not data:
                break
            target.sendall(data)
            left -= len(data)
    except OSError:
        pass
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def test_cut_in_the_handshake(keys: Keys) -> None:
    """Wherever the handshake is cut, the client connects again."""
    port = free_port()
    server, client = pairs(keys)["x509"]
    with receiver(alone, *server, *chardev(port, "server")) \
            as (target, target_wire):
        cutter = Cutter(port, [0, 1, 5, 100, 300, 420, 900])
        with sender(alone, *client, "-chardev",
                    f"socket,id=c,host=127.0.0.1,port={cutter.port},"
                    "reconnect-ms=20,tls-creds=t") as (source, source_wire):
            wait_connected(source, target)
            wait_until(lambda: not cutter._cuts, lambda: str(cutter._cuts))
            wait_connected(source, target)
            check_carries(source_wire, target_wire, some_frames(100, 1500, 4))
        cutter.close()


def test_server_comes_back(keys: Keys) -> None:
    """The client connects to the next one that has the right key."""
    port = free_port()
    server, client = pairs(keys)["psk"]
    with sender(alone, *client, *chardev(port, "client")) \
            as (source, source_wire):
        for seed in (5, 6):
            with receiver(alone, *server, *chardev(port, "server")) \
                    as (target, target_wire):
                wait_connected(source, target)
                check_carries(source_wire, target_wire,
                              some_frames(100, 1500, seed))
            wait_until(lambda: not is_connected(source),
                       lambda: "still connected")


def test_hostile_clients(keys: Keys) -> None:
    """Silence, half a handshake, garbage and a flood of them keep nobody
    out."""
    port = free_port()
    server, client = pairs(keys)["x509"]
    openings = [b"", b"\x16\x03\x01", b"GET / HTTP/1.0\r\n\r\n",
                b"\x16\x03\x01\x40\x00" + b"\x01\x00\x3f\xfc" + b"\0" * 500,
                bytes(random.Random(7).randbytes(3000))]
    crowd = []
    with receiver(alone, *server, *chardev(port, "server")) \
            as (target, target_wire):
        for i in range(200):
            connection = socket.create_connection(("127.0.0.1", port), 20)
            with contextlib.suppress(OSError):
                connection.sendall(openings[i % len(openings)])
            crowd.append(connection)
        assert target.execute("query-status")["running"]
        with sender(alone, *client, *chardev(port, "client")) \
                as (source, source_wire):
            wait_connected(source, target)
            check_carries(source_wire, target_wire, some_frames(100, 1500, 8))
        for connection in crowd:
            connection.close()


def test_handshake_times_out(keys: Keys) -> None:
    """Who says nothing is not waited for; neither by a server nor by a
    client."""
    port = free_port()
    server, client = pairs(keys)["psk"]
    with alone(*server, *chardev(port, "server")) as daemon, \
            socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        with alone(*client, *chardev(silent.getsockname()[1], "client")):
            first, _ = silent.accept()
            with socket.create_connection(("127.0.0.1", port), 20) as mute:
                mute.sendall(b"\x16")
                assert mute.recv(100) in (b"", b"\x15\x03\x03\0\2\2\x28")
            second, _ = silent.accept()
            first.close()
            second.close()
        assert daemon.execute("query-status")["running"]


def test_slow_peer(keys: Keys) -> None:
    """A peer that does not read holds up the sender and nobody else; when it
    reads, all is there."""
    port = free_port()
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(keys.good / "server-cert.pem",
                         keys.good / "server-key.pem")
    frames = [bytes([i % 256]) * 60000 for i in range(400)]
    pair = Pair()
    with socket.create_server(("127.0.0.1", port)) as listener, \
            alone("-netdev", f"socket,id=b,fd={pair.fd}",
                   *creds(keys.anonymous, "client"), *chardev(port, "client"),
                   "-object", "filter-redirector,id=r,netdev=b,queue=tx,"
                   "outdev=c",
                   pass_fds=[pair.fd]) as daemon:
        pair.passed()
        plain, _ = listener.accept()
        plain.settimeout(20)
        with made.wrap_socket(plain, server_side=True) as peer:
            wait_connected(daemon)
            thread = threading.Thread(target=pair.wire.send, args=frames)
            thread.start()
            wait_until(lambda: daemon.counter("r", "queued") > 0,
                       lambda: "nothing is queued")
            assert daemon.execute("query-status")["running"]
            expected = encode(frames)
            got = bytearray()
            while len(got) < len(expected):
                more = peer.recv(1 << 16)
                assert more, len(got)
                got += more
            assert got == expected
            thread.join()
            # Both close: the daemon says goodbye.
            daemon.execute("object-del", id="r")
            daemon.execute("chardev-remove", id="c")
            assert peer.recv(100) == b""
    pair.end.close()


# Options

def test_credentials_in_use(keys: Keys) -> None:
    """Can't be deleted as long as a chardev has them."""
    with alone(*creds(keys.psk, "server"),
                *chardev(free_port(), "server")) as daemon:
        with pytest.raises(QmpFailure) as failure:
            daemon.execute("object-del", id="t")
        assert failure.value.text == \
            "object 't' is in use, can not be deleted"
        daemon.execute("chardev-remove", id="c")
        daemon.execute("object-del", id="t")
        with pytest.raises(QmpFailure):
            daemon.execute("qom-list", path="/objects/t")


def options(keys: Keys) -> List[List[str]]:
    """Command lines that are refused."""
    port = free_port()
    psk = f"tls-creds-psk,id=t,dir={keys.psk},endpoint="
    x509 = f"tls-creds-x509,id=t,dir={keys.good},endpoint="
    tcp = f"socket,id=c,host=127.0.0.1,port={port},server=on,wait=off"
    return [
        ["-chardev", f"{tcp},tls-creds=no"],
        ["-chardev", f"{tcp},tls-creds=no,path=/nosuch/x"],
        ["-object", psk + "server", "-chardev",
         "socket,id=c,path=/nosuch/c,server=on,wait=off,tls-creds=t"],
        ["-object", psk + "client", "-chardev", f"{tcp},tls-creds=t"],
        ["-object", psk + "server", "-chardev",
         f"socket,id=c,host=127.0.0.1,port={port},tls-creds=t"],
        ["-object", psk + "client", "-chardev",
         "socket,id=c,fd=0,tls-creds=t"],
        ["-object", psk + "server,username=bob"],
        ["-object", psk + "client,username=nobody"],
        ["-object", psk + "client,passwordid=x"],
        ["-object", psk + "sideways"],
        ["-object", "tls-creds-psk,id=t,endpoint=server"],
        ["-object", "tls-creds-x509,id=t,dir=/nosuch"],
        ["-object", f"tls-creds-x509,id=t,dir={keys.psk},endpoint=server"],
        ["-object", f"tls-creds-x509,id=t,dir={keys.expired},"
         "endpoint=server"],
        ["-object", f"tls-creds-x509,id=t,dir={keys.anonymous},"
         "endpoint=server"],
        ["-object", f"tls-creds-x509,id=t,dir={keys.intruder},"
         "endpoint=client"],
        ["-object", x509 + "server,verify-peer=perhaps"],
    ]


def complaint(done: "subprocess.CompletedProcess[str]") -> str:
    """What a program said, without its name and the option."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done
    line = lines[0].split(": ", 1)[1]
    if line.startswith("-"):
        # The options themselves hold no colon that is followed by a space.
        line = line.split(": ", 1)[1]
    return line


@needs_qemu
@pytest.mark.parametrize("number", range(17))
def test_words(keys: Keys, number: int) -> None:
    """What is refused is refused in QEMU's words."""
    argv = options(keys)[number]
    ours, theirs = (subprocess.run(
        [path, *more, *argv], check=False, timeout=20, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE) for path, more in (
            (str(program()), []),
            (str(qemu()), ["-machine", "none", "-display", "none", "-S"])))
    assert complaint(ours) == complaint(theirs)


