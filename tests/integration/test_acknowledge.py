# SPDX-License-Identifier: BSD-2-Clause
"""The link breaks with frames under way, and nothing is lost with it: the
property acknowledge, and what a peer that knows nothing of it sees."""

import random
import struct
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest

from lib.certificates import Authority
from lib.frames import number_of, numbered_range
from lib.offloads import ALL_OFFLOADS, KINDS, check_segments, super_frame
from lib.qemu import Qemu, needs_qemu, nic
from lib.relay import Place, Relay
from lib.site import Site
from lib.switchover import (DESTINATION_ADDRESS, PORT, SOURCE_ADDRESS, TAP,
                            Destination, End, Source, Switchover)
from lib.waiting import wait_until
from lib.wire import Pair, Peer, encode

SIZE = 1400
STATE, SESSION, VANISHED, FOUND, PLACE, MISSING = 1, 2, 7, 8, 9, 10
ASK = b"\0"


class Link:
    """A switchover whose two ends are connected by a relay."""

    def __init__(self, site: Site, transport: str = "unix",
                 creds: Optional[Path] = None, **options: Any) -> None:
        self.site = site
        self.pair = Switchover(site, transport, **options)
        self.source, self.destination = self.pair.source, self.pair.destination
        self._front, self._back = f"path={site.path('front')}", \
            f"path={site.path('back')}"
        places: Tuple[Place, Place] = (Path(site.path("front")),
                                       Path(site.path("back")))
        if transport == "tcp":
            self._front, self._back = "host=127.0.0.1,port=7701", \
                self.pair.addresses
            places = ("127.0.0.1", 7701), (DESTINATION_ADDRESS, PORT)
        if creds:
            self._front += ",tls-creds=t"
            self._back += ",tls-creds=t"
            for end, role in ((self.source, "client"),
                              (self.destination, "server")):
                end.more = ["-object", f"tls-creds-x509,id=t,dir={creds},"
                            f"endpoint={role}"]
        self.relay = Relay(*places, self.source.host)
        site.on_exit(self.relay.close)

    def start_destination(self, properties: str = "") -> None:
        """Start its daemon, the first or another one."""
        self.destination.start(f"socket,{self._back},server=on,wait=off",
                               properties)

    def start_source(self, properties: str = "") -> None:
        """Start its daemon, the first or another one."""
        self.source.start(f"socket,{self._front},reconnect-ms=20", properties)

    def start(self, mode: str, destination: str = "", more: str = ""
              ) -> "Link":
        """Start both and stop the virtual machine."""
        self.start_destination(destination)
        self.start_source(f"acknowledge={mode}{more}")
        self.pair.wait_connected()
        self.pair.stop_source()
        return self

    def send_stalled(self, count: int) -> None:
        """Send frames that get lost if the link is cut now."""
        self.relay.stall()
        before = self.source.daemon.counters()["outdev"]
        self.source.send(count, SIZE)
        self.source.daemon.wait_counters(outdev=before + count, queued=0)

    def cut(self) -> None:
        """Break the link and let it be made again."""
        resumed = "goes on with number"
        count = self.source.daemon.log.count(resumed)
        self.relay.cut()
        self.relay.stall(False)
        self.relay.restore()
        self.source.daemon.wait_log(resumed, count + 1)

    def check_all(self, count: int) -> None:
        """The guest got so many frames, each once, in order, and both
        daemons count them so."""
        self.source.daemon.wait_counters(outdev=count, queued=0)
        self.pair.resume_destination()
        self.destination.vmm.wait_count(count)
        assert self.destination.vmm.numbers() == list(range(count))
        self.destination.daemon.wait_counters(indev=count, out_netdev=count,
                                              held=0)

    def wait_confirmed(self) -> None:
        """The source knows that all has arrived."""
        wait_until(lambda: told(self.source)["unconfirmed"] == 0,
                   lambda: str(told(self.source)))


def told(end: End) -> Dict[str, Any]:
    """What a daemon says of the link."""
    entry, = end.daemon.execute("query-switchover")
    link: Dict[str, Any] = entry["link"]
    return link


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_cut(site: Site, mode: str, transport: str) -> None:
    """What is under way when the link breaks arrives after all."""
    link = Link(site, transport).start(mode)
    link.source.send(50, SIZE)
    link.pair.wait_arrived()
    link.send_stalled(50)
    link.cut()
    link.source.send(50, SIZE)
    link.pair.wait_arrived()
    link.wait_confirmed()
    for end in (link.source, link.destination):
        assert told(end)["acknowledged"] and told(end)["lost"] == 0
    assert told(link.source)["repeated"] == 0
    link.check_all(150)


@pytest.mark.parametrize("mode", ["auto", "on"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cut_again_and_again(site: Site, mode: str, seed: int) -> None:
    """At any place, also while both ends are about to find their place."""
    dice = random.Random(seed)
    link = Link(site, dice.choice(["unix", "tcp"])).start(mode)
    for _ in range(15):
        link.source.send(dice.randrange(200), dice.choice([64, SIZE]))
        time.sleep(dice.random() * 0.02)
        link.relay.cut()
        if dice.random() < 0.5:
            link.source.send(dice.randrange(50))
        link.relay.restore()
        time.sleep(dice.choice([0, 0.03, 0.3]))
    link.pair.wait_arrived()
    link.check_all(link.source.next)


def test_cut_tls(site: Site, tmp_path: Path) -> None:
    """The same on top of TLS."""
    authority = Authority(tmp_path / "authority")
    keys = authority.issue(tmp_path / "keys", "server")
    authority.issue(keys, "client")
    link = Link(site, "tcp", keys).start("on")
    link.send_stalled(50)
    link.cut()
    link.source.send(50, SIZE)
    link.pair.wait_arrived()
    link.check_all(100)


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_full_destination(site: Site, mode: str) -> None:
    """The destination holds all it may and reads no more when the link
    breaks; once it was asked, the link comes back all the same."""
    link = Link(site).start(mode, "hold-size=100K")
    link.source.send(20, SIZE)
    link.pair.wait_arrived()
    link.send_stalled(10)
    link.cut()
    link.source.send(600, SIZE)
    link.source.daemon.wait_counters(in_netdev=630)
    held = link.destination.daemon.counters()["held"]
    assert 30 < held < 600
    link.cut()
    link.cut()
    link.pair.resume_destination()
    link.check_all(630)


def test_destination_killed_while_it_holds(site: Site) -> None:
    """The next daemon gets all that the last one held."""
    link = Link(site).start("on")
    link.source.send(200, SIZE)
    link.pair.wait_arrived()
    link.destination.daemon.kill()
    link.source.send(50, SIZE)
    link.start_destination()
    link.destination.daemon.wait_counters(held=250)
    link.wait_confirmed()
    assert told(link.source)["repeated"] == 0
    link.check_all(250)


@pytest.mark.parametrize("cut", [False, True])
def test_destination_killed_while_it_injects(site: Site, cut: bool) -> None:
    """The next daemon goes on where the last one was, though the source was
    not told."""
    link = Link(site)
    link.destination.more = ["-sandbox", "on"]
    # A sanitizer looks for leaks by tracing, which the sandbox forbids.
    link.destination.inside = ["env", "ASAN_OPTIONS=detect_leaks=0"]
    link.start("on")
    link.source.send(300, SIZE)
    link.pair.wait_arrived()
    if cut:
        link.relay.cut()
    else:
        link.relay.stall()
    link.pair.resume_destination()
    link.destination.vmm.wait_count(300)
    link.destination.daemon.wait_counters(out_netdev=300, held=0)
    link.destination.daemon.kill()
    link.relay.cut()
    link.relay.stall(False)
    link.start_destination()
    link.relay.restore()
    link.source.send(50, SIZE)
    link.destination.vmm.wait_count(350)
    assert link.destination.vmm.numbers() == list(range(350))
    assert told(link.source)["repeated"] == 0


def test_nothing_is_left_behind(site: Site) -> None:
    """What a daemon keeps for the next one goes with the source's leave."""
    link = Link(site).start("on")
    link.source.send(20, SIZE)
    link.pair.wait_arrived()
    link.wait_confirmed()
    page, = link.destination.host.pages()
    assert page.name.endswith(f"-{TAP}-rd0")
    link.source.daemon.stop()
    wait_until(lambda: told(link.destination)["ended"], "the leave")
    assert not link.destination.host.pages()


def test_not_kept(site: Site) -> None:
    """What no memory was left for is lost with the destination's daemon,
    and both sides count it."""
    link = Link(site).start("on", more=",send-queue-size=100K")
    link.source.send(400, SIZE)
    link.pair.wait_arrived()
    link.destination.daemon.kill()
    link.start_destination()
    link.source.send(1)
    wait_until(lambda: link.destination.daemon.counters()["indev"] > 0,
               "frames")
    wait_until(lambda: told(link.source)["unconfirmed"] == 0, "the last")
    lost = told(link.source)["lost"]
    assert 0 < lost < 400 and told(link.destination)["lost"] == lost
    link.destination.daemon.wait_counters(indev=401 - lost)


def test_cancelled(site: Site) -> None:
    """The destination hears that the VM runs at the source again, even if
    the link is broken then; the next migration begins anew."""
    link = Link(site).start("on")
    link.source.send(20)
    link.pair.wait_arrived()
    link.relay.cut()
    link.source.vmm.resume()
    link.source.wait_phase("armed", 2)
    link.relay.restore()
    link.destination.daemon.wait_counters(held=0, discarded=20)
    first = link.source.next
    link.pair.stop_source()
    link.source.send(30)
    link.destination.daemon.wait_counters(held=30)
    link.send_stalled(10)
    link.cut()
    link.destination.daemon.wait_counters(held=40, discarded=20)
    link.pair.resume_destination()
    link.destination.vmm.wait_count(40)
    assert link.destination.vmm.numbers() == list(range(first, first + 40))


def test_off(site: Site) -> None:
    """Switched off, it neither asks nor answers."""
    link = Link(site).start("off")
    link.source.send(10)
    link.pair.wait_arrived()
    link.send_stalled(10)
    link.relay.cut()
    link.relay.stall(False)
    link.relay.restore()
    link.source.send(10)
    link.destination.daemon.wait_counters(held=20)
    link.source.daemon.wait_counters(outdev=30)
    assert not told(link.source)["acknowledged"]


# Peers that know nothing of it

def start_source(site: Site, mode: str) -> Source:
    """A source whose machine stands still."""
    source = Source(site)
    source.serve()
    source.start(f"socket,path={site.path('wire')},reconnect-ms=20",
                 f"acknowledge={mode}")
    source.vmm.stop()
    source.wait_phase("shipping")
    return source


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_plain_receiver(site: Site, mode: str) -> None:
    """It gets nothing but frames, on the first connection and on all
    others; at most the first byte of the next comes early."""
    listener = site.listener("wire")
    source = start_source(site, mode)
    sent = 0
    for connection in range(3):
        peer = listener.accept()
        early = ASK if mode == "on" or (connection and mode == "auto") else b""
        assert peer.receive_bytes(len(early)) == early
        assert peer.is_silent()
        source.send(20)
        expected = encode(numbered_range(sent, sent + 20))
        assert early + peer.receive_bytes(len(expected) - len(early)) == \
            expected
        assert peer.is_silent()
        sent += 20
        source.daemon.wait_counters(outdev=sent, queued=0)
        peer.close()
    assert source.daemon.log.count("does not acknowledge") == \
        (0 if mode == "off" else 1)
    assert not told(source)["acknowledged"]


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_peer_that_talks(site: Site, mode: str) -> None:
    """Whatever a peer sends the other way, it gets all frames, whole."""
    listener = site.listener("wire")
    source = start_source(site, mode)
    for talk in (b"\0\0\0\1x", b"\x80\0\0\1\1", b"\xff" * 5000,
                 struct.pack(">IBQQ", 0x80000011, 3, 1 << 63, 1 << 63)):
        peer = listener.accept()
        peer.send_bytes(talk)
        first = source.next
        source.send(5)
        expected = encode(numbered_range(first, first + 5))
        assert peer.receive_bytes(len(expected)) == expected
        peer.close()


def start_destination(site: Site, properties: str = "") -> Destination:
    """A destination that holds."""
    end = Destination(site)
    end.serve()
    end.start(f"socket,path={site.path('wire')},server=on,wait=off",
              properties)
    return end


def test_plain_sender(site: Site) -> None:
    """It is never spoken to, on no connection, in the middle of a frame or
    behind it, however its bytes come; nor is one that asks in vain."""
    end = start_destination(site)
    stream = encode(numbered_range(0, 3))
    for connection, cuts in enumerate([(), (2,), (3,), (4, 5), (50,)]):
        peer = site.peer("wire")
        at = 0
        for cut in (*cuts, len(stream)):
            peer.send_bytes(stream[at:cut])
            at = cut
            assert peer.is_silent(0.1)
        end.daemon.wait_counters(indev=3 * connection + 3)
        assert peer.is_silent()
        peer.close()


def ask(peer: Peer) -> List[int]:
    """Ask a destination; the fields of its answer: epoch, session, next,
    settled, digest."""
    peer.send_bytes(ASK)
    word, kind = struct.unpack(">IB", peer.receive_bytes(5))
    assert kind == STATE and word & 0x80000000
    return list(struct.unpack_from(
        ">5Q", peer.receive_bytes((word & 0xFFFF) - 1)))


def answer(peer: Peer, number: int, first: int) -> List[int]:
    """Answer a source that asks with a session and what has come of it; the
    fields of what it says then: session, next, lost."""
    assert peer.receive_bytes(1) == ASK
    peer.send_bytes(struct.pack(">IB5Q", 0x80000029, STATE, 1, number, first,
                                0, 0))
    assert peer.receive_bytes(8) == bytes(3) + struct.pack(
        ">IB", 0x80000019, SESSION)
    return list(struct.unpack(">3Q", peer.receive_bytes(24)))


def session(number: int, first: int) -> bytes:
    """What a source that accepts says."""
    return bytes(3) + struct.pack(">IBQQQ", 0x80000019, SESSION, number,
                                  first, 0)


def test_asking_by_hand(site: Site) -> None:
    """What the records say, byte by byte; a plain sender that seemed to
    ask goes on as if nothing had been."""
    end = start_destination(site)
    taken = end.host.tx_packets(TAP)
    peer = site.peer("wire")
    epoch, *rest = ask(peer)
    assert epoch and rest == [0, 0, 0, 0]
    stream = encode(numbered_range(0, 5))
    peer.send_bytes(stream[1:])
    end.daemon.wait_counters(held=5)
    peer.close()

    peer = site.peer("wire")
    again, number, first, settled, digest = ask(peer)
    assert (again, number, first, settled) == (epoch, 0, 5, 0) and digest
    message = session(77, 5) + struct.pack(">IB", 0x80000001, 99) + \
        encode(numbered_range(5, 8))
    for byte in message:
        peer.send_bytes(bytes([byte]))
    end.daemon.wait_counters(held=8)
    assert struct.unpack(">IBQQ", peer.receive_bytes(21))[:2] == \
        (0x80000011, 3)
    peer.close()

    peer = site.peer("wire")
    assert ask(peer)[:4] == [epoch, 77, 8, 0]
    wait_until(lambda: end.host.tx_packets(TAP) > taken,
               "the bait to be taken back")
    end.resume()
    end.vmm.wait_count(8)
    assert end.vmm.numbers() == list(range(8))


def test_garbage_behind_the_answer(site: Site) -> None:
    """A record that can't be ends the connection, as such a frame does."""
    end = start_destination(site)
    for number, garbage in enumerate((b"\x80\0\x10\1", b"\xff" * 40)):
        peer = site.peer("wire")
        ask(peer)
        peer.send_bytes(session(5, 0) + garbage)
        peer.wait_closed()
        end.daemon.wait_counters(dropped_oversize=number + 1)
    peer = site.peer("wire")
    ask(peer)
    # Too short, or of a kind that nobody knows.
    peer.send_bytes(bytes(3) + b"\x80\0\0\2\2x" + b"\x80\0\0\0" +
                    b"\x80\0\0\1\xee" + encode(numbered_range(0, 3)))
    end.daemon.wait_counters(held=3)


def test_question_to_one_that_is_off(site: Site) -> None:
    """Switched off, it is silent, and the question was a frame's begin."""
    end = start_destination(site, "acknowledge=off")
    peer = site.peer("wire")
    peer.send_bytes(ASK)
    assert peer.is_silent()
    peer.send_bytes(encode(numbered_range(0, 3))[1:])
    end.daemon.wait_counters(held=3)


@pytest.mark.parametrize("number", [0, 1, 7, 14])
def test_within_a_super_frame(site: Site, number: int) -> None:
    """On the wire it is many frames, and goes on with any of them."""
    kind, payload = KINDS[0], random.Random(7).randbytes(20000)
    listener = site.listener("wire")
    source = Source(site, vnet=True, offloads=ALL_OFFLOADS)
    source.serve()
    source.start(f"socket,path={site.path('wire')},reconnect-ms=20",
                 "acknowledge=on")
    peer = listener.accept(receive_buffer=4096)
    name, first, lost = answer(peer, 0, 0)
    assert name and (first, lost) == (0, 0)
    source.vmm.stop()
    source.wait_phase("shipping")
    source.host.sender(TAP, vnet=True).send_offloaded(
        super_frame(kind, payload, SIZE))
    frames = peer.receive(number)
    peer.close()
    peer = listener.accept()
    assert answer(peer, name, number) == [name, number, 0]
    frames += peer.receive(15 - number)
    assert peer.is_silent()
    check_segments(kind, frames, payload, SIZE)
    source.daemon.wait_counters(in_netdev=1, outdev=1, queued=0)


@needs_qemu
def test_qemu_receives(site: Site) -> None:
    """QEMU's redirector takes the frames of a source that asks."""
    source = Source(site)
    source.serve()
    pair = Pair()
    with Qemu("-accel", "tcg", "-m", "16",
              *nic("b0", f"socket,fd={pair.fd}"), "-chardev",
              f"socket,id=c,path={site.path('wire')},server=on,wait=off",
              "-object", "filter-redirector,id=f,netdev=b0,queue=rx,indev=c",
              machine="pc", directory=site.directory, pass_fds=[pair.fd]):
        source.start(f"socket,path={site.path('wire')},reconnect-ms=20",
                     "acknowledge=on")
        source.daemon.wait_log("does not acknowledge")
        source.vmm.stop()
        source.wait_phase("shipping")
        source.send(100)
        numbers = [number_of(pair.wire.receive_one()) for _ in range(100)]
        assert numbers == list(range(100))
    pair.close()


@needs_qemu
def test_qemu_sends(site: Site) -> None:
    """What QEMU's redirector sends arrives, on the second connection, too,
    and QEMU is told nothing."""
    end = start_destination(site)
    for number in range(2):
        pair = Pair()
        with Qemu("-accel", "tcg", "-m", "16",
                  *nic("b0", f"socket,fd={pair.fd}"), "-chardev",
                  f"socket,id=c,path={site.path('wire')}", "-object",
                  "filter-redirector,id=f,netdev=b0,queue=tx,outdev=c",
                  machine="pc", directory=site.directory,
                  pass_fds=[pair.fd]):
            for first in range(0, 100, 10):
                pair.wire.send(numbered_range(100 * number + first,
                                              100 * number + first + 10))
                end.daemon.wait_counters(indev=100 * number + first + 10)
            assert not told(end)["acknowledged"]
        pair.close()
    end.resume()
    end.vmm.wait_count(200)
    assert end.vmm.numbers() == list(range(200))


@pytest.mark.parametrize("owed", [False, True])
def test_source_that_vanished(site: Site, owed: bool) -> None:
    """The source's host has another address now, and nobody tells the
    destination: it gives up the connection after a while, also when it has
    not heard whether its last word has arrived, and lets the next one in."""
    pair = Switchover(site, "tcp").start("acknowledge=on")
    pair.source.daemon.wait_log("the peer acknowledges frames")
    pair.stop_source()
    pair.source.send(20)
    pair.wait_arrived()
    pair.source.host.ip(f"addr del {SOURCE_ADDRESS}/24 dev mgmt0",
                        "addr add 10.99.0.7/24 dev mgmt0")
    if owed:
        pair.resume_destination()
        pair.destination.daemon.wait_counters(out_netdev=20)
    pair.source.daemon.kill()
    wait_until(lambda: "disconnected" in next(
        each["filename"] for each in
        pair.destination.daemon.execute("query-chardev")
        if each["label"] == "in0"), "the connection to be given up")
    pair.start_source("acknowledge=on")
    pair.source.daemon.wait_log("the peer acknowledges frames")
    pair.destination.daemon.wait_log("another source goes on")


@pytest.mark.parametrize("farewell", [False, True])
def test_source_killed(site: Site, farewell: bool) -> None:
    """What a source's daemon takes along when it is killed nobody can count;
    but both ends say that it is so."""
    link = Link(site).start("on")
    link.source.send(20)
    link.pair.wait_arrived()
    if farewell:
        link.source.daemon.stop()
    else:
        link.source.daemon.kill()
    link.start_source("acknowledge=on")
    link.destination.daemon.wait_log("another source goes on")
    for end in (link.source, link.destination):
        wait_until(lambda e=end: told(e)["vanished"] == (not farewell),
                   lambda e=end: str(told(e)))
        assert ("ended without a word" in end.daemon.log) != farewell


def heard(peer: Peer, kinds: Tuple[int, ...]) -> Tuple[int, ...]:
    """The next record of one of these kinds: that, and its fields."""
    kind = 0
    while kind not in kinds:
        word, kind = struct.unpack(">IB", peer.receive_bytes(5))
        body = peer.receive_bytes((word & 0xFFFF) - 1)
    return (kind, *struct.unpack(f">{len(body) // 8}Q", body))


def test_missing_is_said_again(site: Site) -> None:
    """How many frames were lost with a source that another one followed is
    told to that, on each of its connections: the word may have been lost
    with one."""
    end = start_destination(site)
    peer = site.peer("wire")
    ask(peer)
    peer.send_bytes(session(77, 0) +
                    struct.pack(">IB4Q", 0x80000021, PLACE, 100, 0, 0, 0) +
                    encode(numbered_range(0, 5)))
    end.daemon.wait_counters(held=5)
    peer.close()

    peer = site.peer("wire")
    ask(peer)
    # It has found two, one of which came before; behind them are three that
    # nobody has.
    peer.send_bytes(session(78, 0) +
                    struct.pack(">IB4Q", 0x80000021, FOUND, 2, 109, 0, 0) +
                    encode(numbered_range(4, 6)))
    assert heard(peer, (MISSING,)) == (MISSING, 3)
    peer.close()

    peer = site.peer("wire")
    ask(peer)
    peer.send_bytes(session(78, 2))
    assert heard(peer, (MISSING,)) == (MISSING, 3)
    peer.close()

    peer = site.peer("wire")
    ask(peer)
    peer.send_bytes(session(79, 0))
    assert heard(peer, (MISSING, VANISHED)) == (VANISHED,)
    peer.send_bytes(encode(numbered_range(6, 7)))
    end.daemon.wait_counters(held=7)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_stopped_again_while_stalled(site: Site, transport: str) -> None:
    """The machine resumes while a frame is half sent, and stops again before
    the rest of it is out: what it misses then is shipped all the same."""
    link = Link(site, transport).start("on")
    link.relay.stall()
    link.source.send(6000, SIZE)
    link.source.wait_captured()
    assert link.source.daemon.counters()["queued"] > 0
    link.source.vmm.resume()
    link.source.vmm.wait_count(6000)
    link.source.wait_phase("armed", 2)
    link.source.vmm.read(False)
    link.source.vmm.stop()
    link.source.wait_phase("shipping", 2)
    link.source.send(20, SIZE)
    link.relay.stall(False)
    link.destination.daemon.wait_counters(held=20)
    link.pair.resume_destination()
    link.destination.vmm.wait_count(20)
    assert link.destination.vmm.numbers() == list(range(6000, 6000 + 20))
