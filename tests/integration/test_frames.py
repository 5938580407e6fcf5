# SPDX-License-Identifier: BSD-2-Clause
"""Frames of every shape arrive as the guest would have got them: all
sizes, VLAN tags, checksums left to the NIC, super-frames."""

import random
import socket
from typing import List

import pytest

from lib.frames import (GUEST_IP, GUEST_MAC, SENDER_IP, VIRTIO_GSO_NONE,
                        VIRTIO_GSO_TCPV4, Frame, completed, numbered,
                        reassemble_tcp, tcp_super_frame, verify_ipv4,
                        vlan_tag)
from lib.hosts import Host, connect
from lib.site import Site
from lib.switchover import TAP, Switchover
from lib.vmm import TUN_F_CSUM, TUN_F_TSO4

OFFLOADS = TUN_F_CSUM | TUN_F_TSO4


def carry(pair: Switchover, count: int) -> List[Frame]:
    """The virtual machine, stopped at the source where so many frames
    were captured, resumes; returns what its guest then gets."""
    pair.source.daemon.wait_counters(in_netdev=count, outdev=count)
    pair.resume_destination()
    pair.destination.daemon.wait_counters(held=0)
    return pair.destination.vmm.frames()


def stopped(site: Site, properties: str = "") -> Switchover:
    """A machine that stands still, with plain TAPs on both hosts."""
    pair = Switchover(site).start(properties, properties)
    pair.stop_source()
    return pair


def test_all_sizes(site: Site) -> None:
    """From a bare header to a full frame."""
    pair = stopped(site)
    frames = [numbered(size, size) for size in range(14, 1515)]
    for first in range(0, len(frames), 500):
        pair.source.host.sender(TAP).send(frames[first:first + 500])
    carry(pair, len(frames))
    pair.destination.vmm.wait_count(len(frames))
    assert [frame.data for frame in pair.destination.vmm.frames()] == frames


# VLAN tags

TAGS = [
    vlan_tag(1),
    vlan_tag(4094, priority=7),
    vlan_tag(0, priority=5),
    vlan_tag(100, tpid=0x88A8),
    vlan_tag(200, tpid=0x88A8) + vlan_tag(300),
    vlan_tag(400) + vlan_tag(500),
]


def longest(tag: bytes) -> int:
    """The longest frame, without its tags, that an interface takes: only
    an 802.1Q tag does not count."""
    return 1514 - len(tag) + (4 if tag[:2] == b"\x81\x00" else 0)


def add_client(site: Site, host: Host) -> Host:
    """Another host, which reaches the guest over a bridge."""
    client = site.host()
    connect(host, "up0", client, "eth0")
    host.add_bridge("br0", TAP, "up0")
    for port in (TAP, "up0", "br0"):
        host.wait_passing(port)
    client.wait_passing("eth0")
    return client


@pytest.mark.parametrize("vnet", ["off", "on"])
@pytest.mark.parametrize("bridged", [True, False],
                         ids=["bridged", "direct"])
def test_vlan_tags(site: Site, bridged: bool, vnet: str) -> None:
    """A tag that the kernel keeps apart is put back."""
    pair = Switchover(site)
    ifname, sender_host = TAP, pair.source.host
    if bridged:
        ifname, sender_host = "eth0", add_client(site, pair.source.host)
    pair.start(f"vnet_hdr_support={vnet}", f"vnet_hdr_support={vnet}")
    pair.stop_source()
    frames = [numbered(number, size, tag)
              for number, tag in enumerate(TAGS)
              for size in (60, 1000, longest(tag))]
    sender_host.sender(ifname).send(frames)
    carry(pair, len(frames))
    pair.destination.vmm.wait_count(len(frames))
    assert [frame.data for frame in pair.destination.vmm.frames()] == frames


# Checksums

def send_udp(client: Host, payloads: List[bytes]) -> None:
    """Send datagrams to the guest, their checksums left to the NIC."""
    with client.entered(), socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for payload in payloads:
            sender.sendto(payload, (GUEST_IP, 5000))


@pytest.mark.parametrize("vnet", ["off", "on"])
@pytest.mark.parametrize("offloads", [0, TUN_F_CSUM],
                         ids=["plain", "csum"])
def test_checksum_offload(site: Site, vnet: str, offloads: int) -> None:
    """A frame whose checksum the guest would have computed itself arrives
    with a right one, or as it was where both sides say so."""
    pair = Switchover(site, vnet=True, offloads=TUN_F_CSUM,
                      destination={"offloads": offloads})
    client = add_client(site, pair.source.host)
    client.ip(f"addr add {SENDER_IP}/24 dev eth0",
              f"neigh add {GUEST_IP} lladdr {GUEST_MAC.hex(':')} dev eth0 "
              "nud permanent")
    pair.start(f"vnet_hdr_support={vnet}", f"vnet_hdr_support={vnet}")
    payloads = [random.Random(size).randbytes(size)
                for size in (1, 2, 3, 100, 999, 1472)]
    pair.source.vmm.read()
    send_udp(client, payloads)
    pair.source.daemon.wait_counters(delivered=len(payloads))
    assert all(frame.needs_csum for frame in pair.source.vmm.frames())

    pair.stop_source()
    send_udp(client, payloads)
    pair.source.daemon.wait_counters(in_netdev=2 * len(payloads), queued=0)
    pair.wait_equal()
    pair.resume_destination()
    shipped = pair.source.daemon.counters()["outdev"]
    pair.destination.vmm.wait_count(shipped)
    frames = pair.destination.vmm.frames()[-len(payloads):]
    for frame, payload in zip(frames, payloads):
        assert frame.needs_csum == bool(vnet == "on" and offloads)
        assert verify_ipv4(completed(frame))[1][8:] == payload


# Super-frames

# The largest frame of all is one of 65535 bytes.
SIZES = [1449, 2896, 20000, 65481]


def send_super_frames(pair: Switchover, payloads: List[bytes]) -> None:
    """Send a TCP stream to the guest, one super-frame for each piece."""
    sender = pair.source.host.sender(TAP, vnet=True)
    sequence = 1000
    for payload in payloads:
        sender.send_offloaded(tcp_super_frame(payload, sequence=sequence))
        sequence += len(payload)


@pytest.mark.parametrize("vnet", ["off", "on"])
@pytest.mark.parametrize("offloads", [0, OFFLOADS], ids=["plain", "tso"])
def test_super_frames(site: Site, vnet: str, offloads: int) -> None:
    """A super-frame arrives whole where it can, else in segments."""
    pair = Switchover(site, vnet=True, offloads=OFFLOADS,
                      destination={"offloads": offloads})
    pair.start(f"vnet_hdr_support={vnet}", f"vnet_hdr_support={vnet}")
    pair.stop_source()
    payloads = [random.Random(size).randbytes(size) for size in SIZES]
    send_super_frames(pair, payloads)
    pair.source.host.sender(TAP).send([numbered(7)])
    pair.source.daemon.wait_counters(in_netdev=len(SIZES) + 1)
    carry(pair, len(SIZES) + 1)
    pair.wait_last(numbered(7))
    frames = pair.destination.vmm.frames()[:-1]
    if vnet == "on" and offloads:
        assert [frame.gso_type for frame in frames] == \
            [VIRTIO_GSO_TCPV4] * len(SIZES)
        assert [frame.data[54:] for frame in frames] == payloads
    else:
        assert {frame.gso_type for frame in frames} == {VIRTIO_GSO_NONE}
        assert reassemble_tcp([completed(frame) for frame in frames]) == \
            b"".join(payloads)


def test_segmented_by_the_kernel(site: Site) -> None:
    """A TAP without TSO gets segments, and so does a capture on it."""
    pair = Switchover(site, vnet=True).start()
    pair.stop_source()
    payload = random.Random(1).randbytes(30000)
    send_super_frames(pair, [payload])
    pair.source.host.sender(TAP).send([numbered(7)])
    pair.source.daemon.wait_counters(in_netdev=-(-30000 // 1448) + 1, queued=0)
    pair.resume_destination()
    pair.wait_last(numbered(7))
    frames = pair.destination.vmm.frames()[:-1]
    assert reassemble_tcp([completed(frame) for frame in frames]) == payload


@pytest.mark.parametrize("vnet", ["off", "on"])
def test_backlog_of_super_frames(site: Site, vnet: str) -> None:
    """Their segments are more than the TAP's queue holds; none is lost."""
    pair = Switchover(site, vnet=True, offloads=OFFLOADS, txqueuelen=200,
                      destination={"vnet": False})
    pair.start(f"vnet_hdr_support={vnet}", f"vnet_hdr_support={vnet}")
    pair.stop_source()
    before = pair.destination.tx_dropped()
    payloads = [random.Random(i).randbytes(60000) for i in range(30)]
    send_super_frames(pair, payloads)
    pair.source.host.sender(TAP).send([numbered(7)])
    pair.source.daemon.wait_counters(in_netdev=31, outdev=31)
    pair.resume_destination()
    pair.wait_last(numbered(7))
    frames = pair.destination.vmm.frames()[:-1]
    assert reassemble_tcp([frame.data for frame in frames]) == \
        b"".join(payloads)
    # One refusal may be needed to learn that the TAP segments nothing.
    assert pair.destination.tx_dropped() <= before + 1


def test_super_frame_while_running(site: Site) -> None:
    """One frame captured, one frame delivered."""
    pair = Switchover(site, vnet=True, offloads=OFFLOADS).start()
    pair.source.vmm.read()
    send_super_frames(pair, [bytes(60000)] * 3)
    pair.source.daemon.wait_counters(in_netdev=3, delivered=3)


def test_cancelled_with_super_frames(site: Site) -> None:
    """Super-frames that overflowed the queue are given back whole.  They void
    the used index, so what the VMM takes around the word of the resume may
    come again: two frames at most."""
    pair = Switchover(site, vnet=True, offloads=OFFLOADS, txqueuelen=10)
    pair.start()
    pair.source.rest()
    pair.stop_source()
    payloads = [random.Random(i).randbytes(60000) for i in range(30)]
    send_super_frames(pair, payloads)
    pair.source.daemon.wait_counters(in_netdev=30, outdev=30)
    pair.source.vmm.resume()
    pair.source.vmm.wait_count(30)
    pair.source.daemon.wait_counters(reinjected=30, pending=0)
    pair.source.wait_phase("armed", 2)
    frames = pair.source.vmm.frames()
    assert {frame.gso_type for frame in frames} == {VIRTIO_GSO_TCPV4}
    assert {frame.data[54:] for frame in frames} == set(payloads)
    assert len(frames) <= len(payloads) + 2
