# SPDX-License-Identifier: BSD-2-Clause
"""filter-redirector between a TAP, a chain and a chardev, without a
switchover."""

import random
import threading
from typing import List

import pytest

from lib.daemon import Daemon
from lib.frames import number_of, numbered, numbered_range
from lib.site import Site
from lib.switchover import TAP
from lib.vmm import Vmm
from lib.waiting import wait_until
from lib.wire import Peer, PeerGone, encode

MANY = 50


class Node:
    """A host with one running guest and a daemon; chardevs "in0" and
    "out0" listen at paths of their names."""

    def __init__(self, site: Site, *redirectors: str) -> None:
        self.site = site
        self.host = site.host()
        self.guest: Vmm = site.guest(self.host)
        self.guest.read()
        objects = []
        for number, properties in enumerate(redirectors):
            objects += ["-object", f"filter-redirector,id=rd{number},"
                        f"netdev=n0,{properties}"]
        self.daemon: Daemon = site.daemon(
            self.host, "node", "-netdev", f"tap,id=n0,ifname={TAP}",
            *(word for name in ("in0", "out0") for word in (
                "-chardev", f"socket,id={name},path={site.path(name)},"
                "server=on,wait=off")), *objects)

    def send(self, first: int, end: int) -> None:
        """Send frames to the guest."""
        self.host.sender(TAP).send(numbered_range(first, end))


def connected(site: Site, node: Node, name: str) -> Peer:
    """A peer of a chardev that knows of it."""
    peer = site.peer(name)
    node.daemon.wait_connected(name)
    return peer


def receive(peer: Peer, count: int) -> List[int]:
    """The numbers of so many frames."""
    return [number_of(frame) for frame in peer.receive(count)]


@pytest.mark.parametrize("enabled", [False, True])
def test_capture_all_and_run_state(site: Site, enabled: bool) -> None:
    """While the machine is stopped nothing is shipped unless it is wanted;
    nothing of that time is shipped later."""
    node = Node(site, "in_netdev=n0,outdev=out0" +
                (",enable_when_stopped=on" if enabled else ""))
    peer = connected(site, node, "out0")
    node.send(0, 10)
    assert receive(peer, 10) == list(range(10))
    node.daemon.execute("stop")
    node.send(10, 20)
    node.guest.wait_count(20)
    if enabled:
        assert receive(peer, 10) == list(range(10, 20))
    else:
        node.daemon.wait_counters(in_netdev=10, outdev=10)
    node.daemon.execute("cont")
    node.send(20, 30)
    assert receive(peer, 10) == list(range(20, 30))
    expected = 30 if enabled else 20
    node.daemon.wait_counters(in_netdev=expected, outdev=expected,
                              packets_tx=expected)


def test_only_toward_the_guest(site: Site) -> None:
    """What the guest sends is not captured by in_netdev."""
    node = Node(site, "in_netdev=n0,outdev=out0")
    peer = connected(site, node, "out0")
    node.guest.write([numbered(5)])
    node.send(0, 3)
    assert receive(peer, 3) == [0, 1, 2]
    node.daemon.wait_counters(in_netdev=3, packets_rx=0)


@pytest.mark.parametrize("queue", ["tx", "all"])
def test_chain_to_outdev(site: Site, queue: str) -> None:
    """Without in_netdev the redirector sees what passes in its chain; the
    kernel delivers it all the same."""
    node = Node(site, f"outdev=out0,queue={queue}")
    peer = connected(site, node, "out0")
    node.send(0, 10)
    assert receive(peer, 10) == list(range(10))
    node.guest.wait_count(10)
    node.guest.write([numbered(10)])
    if queue == "all":
        assert receive(peer, 1) == [10]
    node.send(11, 12)
    assert receive(peer, 1) == [11]
    node.daemon.wait_counters(packets_tx=11,
                              packets_rx=1 if queue == "all" else 0)


@pytest.mark.parametrize("queue", ["tx", "rx"])
def test_indev_to_chain(site: Site, queue: str) -> None:
    """A frame from indev goes on in the chain and comes out at the guest,
    or at the network, where it ends."""
    node = Node(site, f"indev=in0,queue={queue}")
    peer = site.peer("in0")
    peer.send(numbered_range(0, 10))
    node.daemon.wait_counters(indev=10)
    if queue == "tx":
        node.guest.wait_count(10)
        assert node.guest.numbers() == list(range(10))
    else:
        assert node.guest.count() == 0


def test_injected_is_not_captured(site: Site) -> None:
    """What goes into the TAP from here does not come back."""
    node = Node(site, "indev=in0,out_netdev=n0", "in_netdev=n0,outdev=out0")
    sender = site.peer("in0")
    receiver = connected(site, node, "out0")
    sender.send(numbered_range(0, 10))
    node.guest.wait_count(10)
    node.send(10, 13)
    assert receive(receiver, 3) == [10, 11, 12]
    node.daemon.wait_counters("rd0", out_netdev=10)
    node.daemon.wait_counters("rd1", in_netdev=3)


def test_from_one_tap_to_another(site: Site) -> None:
    """What is captured at one interface goes on in the chain of another
    and into it."""
    host = site.host()
    host.add_tap("tap0")
    host.add_tap("tap1")
    guests = site.vmm(host, "tap0", "tap1")
    guests.read(True, "tap0")
    guests.read(True, "tap1")
    site.daemon(host, "node", "-netdev", "tap,id=n0,ifname=tap0",
                "-netdev", "tap,id=n1,ifname=tap1", "-object",
                "filter-redirector,id=rd0,netdev=n1,in_netdev=n0,queue=tx")
    host.sender("tap0").send(numbered_range(0, 10))
    for ifname in ("tap0", "tap1"):
        guests.wait_count(10, ifname)
        assert guests.numbers(ifname) == list(range(10))


def test_switched_off_and_on(site: Site) -> None:
    """While an injecting redirector is off, what its peer sends stays in
    the socket; it arrives when it is on again."""
    node = Node(site, "indev=in0,out_netdev=n0")
    peer = site.peer("in0")
    peer.send(numbered_range(0, 10))
    node.guest.wait_count(10)
    node.daemon.set_status("rd0", "off")
    peer.send(numbered_range(10, 20))
    node.daemon.wait_counters(indev=10, out_netdev=10)
    node.daemon.set_status("rd0", "on")
    node.guest.wait_count(20)
    assert node.guest.numbers() == list(range(20))


def test_capture_switched_off_and_on(site: Site) -> None:
    """While a capturing one is off, nothing is shipped, also later."""
    node = Node(site, "in_netdev=n0,outdev=out0")
    peer = connected(site, node, "out0")
    node.send(0, 5)
    assert receive(peer, 5) == list(range(5))
    node.daemon.set_status("rd0", "off")
    node.send(5, 10)
    node.guest.wait_count(10)
    node.daemon.wait_counters(in_netdev=5)
    node.daemon.set_status("rd0", "on")
    node.send(10, 15)
    assert receive(peer, 5) == list(range(10, 15))


@pytest.mark.parametrize("how", ["deleted", "switched off"])
def test_replaced_in_the_middle_of_a_frame(site: Site, how: str) -> None:
    """The rest of a frame is not taken for the beginning of another, even
    if its payload looks like that."""
    node = Node(site, "indev=in0,out_netdev=n0")
    peer = site.peer("in0")
    inner = encode([numbered(666)])
    outer = numbered(1, 64) + inner
    message = encode([numbered(0), outer])
    peer.send_bytes(message[:-len(inner)])
    node.guest.wait_count(1)
    if how == "deleted":
        node.daemon.execute("object-del", id="rd0")
        node.daemon.add("filter-redirector", "rd0", netdev="n0",
                        indev="in0", out_netdev="n0")
    else:
        node.daemon.set_status("rd0", "off")
        node.daemon.set_status("rd0", "on")
    try:
        peer.send_bytes(inner)
    except (BrokenPipeError, ConnectionResetError):
        pass
    peer.close()
    peer = site.peer("in0")
    peer.send(numbered_range(2, 5))
    wait_until(lambda: node.guest.frames()[-1].data == numbered(4),
               "the last frame")
    got = [frame.data for frame in node.guest.frames()]
    assert [data for data in got if data != outer] == \
        [numbered(number) for number in (0, 2, 3, 4)]
    assert (outer in got) == (how != "deleted")


def test_deleted_with_a_frame_half_sent(site: Site) -> None:
    """Whatever the peer gets afterwards, it is not the rest of one frame
    and the beginning of another as if they were one."""
    node = Node(site, "in_netdev=n0,outdev=out0")
    peer = connected(site, node, "out0")
    node.host.sender(TAP).send(numbered_range(0, 500, 1400))
    node.daemon.wait_counters(in_netdev=500)
    assert node.daemon.counters()["queued"] > 0
    node.daemon.execute("object-del", id="rd0")
    node.daemon.add("filter-redirector", "rd0", netdev="n0",
                    in_netdev="n0", outdev="out0")
    node.host.sender(TAP).send(numbered_range(500, 510, 1400))
    numbers: List[int] = []
    try:
        while numbers[-1:] != [509]:
            numbers += receive(peer, 1)
    except (PeerGone, ConnectionResetError):
        pass
    assert numbers == sorted(set(numbers))


def test_deleted_under_traffic(site: Site) -> None:
    """Redirectors come and go while frames flow."""
    node = Node(site)
    over = threading.Event()
    sender = node.host.sender(TAP)

    def send() -> None:
        while not over.wait(0.0002):
            sender.send([numbered(0)])

    def send_in() -> None:
        peer, left = site.peer("in0"), b""
        while not over.wait(0.0005):
            left = left or encode(numbered_range(0, 5))
            try:
                left = left[peer.send_some(left):]
            except (BrokenPipeError, ConnectionResetError):
                peer, left = site.peer("in0"), b""

    threads = [threading.Thread(target=send),
               threading.Thread(target=send_in)]
    drain = connected(site, node, "out0")
    for thread in threads:
        thread.start()
    dice = random.Random(0)
    shapes = [{"in_netdev": "n0", "outdev": "out0"},
              {"in_netdev": "n0", "outdev": "out0",
               "capture": "undelivered"},
              {"indev": "in0", "out_netdev": "n0"},
              {"indev": "in0", "queue": "tx"},
              {"outdev": "out0"}]
    try:
        for _ in range(40):
            node.daemon.add("filter-redirector", "rd0", netdev="n0",
                            **dice.choice(shapes))
            node.daemon.check()
            node.daemon.execute(dice.choice(["stop", "cont"]))
            node.daemon.execute("object-del", id="rd0")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    drain.close()
    node.daemon.check()


def test_many_redirectors(site: Site) -> None:
    """Fifty TAPs in one daemon: each frame takes its own way."""
    host = site.host()
    taps = [f"tap{number}" for number in range(MANY)]
    for tap in taps:
        host.add_tap(tap)
    guests = site.vmm(host, *taps)
    listeners = [site.listener(f"out{number}") for number in range(MANY)]
    arguments = []
    for number, tap in enumerate(taps):
        guests.read(True, tap)
        arguments += [
            "-netdev", f"tap,id=n{number},ifname={tap}",
            "-chardev", f"socket,id=out{number},"
            f"path={site.path(f'out{number}')}",
            "-object", f"filter-redirector,id=rd{number},netdev=n{number},"
            f"in_netdev=n{number},outdev=out{number}"]
    daemon = site.daemon(host, "many", *arguments)
    peers = [listener.accept() for listener in listeners]
    for number, tap in enumerate(taps):
        host.sender(tap).send(
            numbered_range(100 * number, 100 * number + 10))
    for number, peer in enumerate(peers):
        expected = list(range(100 * number, 100 * number + 10))
        assert receive(peer, 10) == expected
        guests.wait_count(10, taps[number])
        assert guests.numbers(taps[number]) == expected
        peer.close()
    assert [(entry["name"], entry["packets-tx"])
            for entry in daemon.entries()] == \
        [(f"rd{number}", 10) for number in range(MANY)]


def test_info_netfilter_stats(site: Site) -> None:
    """The human monitor tells the same."""
    node = Node(site, "in_netdev=n0,outdev=out0")
    peer = connected(site, node, "out0")
    node.send(0, 5)
    receive(peer, 5)
    node.daemon.wait_counters(outdev=5)
    text = node.daemon.hmp("info netfilter-stats").replace("\r", "")
    assert text.startswith(
        "rd0: netdev=n0 type=filter-redirector\n"
        "  tx: 5 packets, 320 bytes\n"
        "  rx: 0 packets, 0 bytes\n"
        "  indev: 0 packets, 0 bytes\n"
        "  outdev: 5 packets, 320 bytes\n"
        "  in_netdev: 5 packets, 320 bytes\n")
