# SPDX-License-Identifier: BSD-2-Clause
"""announce: the network learns where the virtual machine runs now, as if its
guest had spoken."""

import json
import struct
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest

from lib.daemon import Daemon, run_daemon
from lib.capture_files import capture_lines
from lib.frames import Frame
from lib.hosts import Host, connect, run
from lib.site import Site
from lib.vmm import Vmm
from lib.waiting import wait_until

MAC = "52:54:00:ab:cd:01"
TAP = "tap0"
SANDBOX = ("-sandbox", "on")
# A sanitizer looks for leaks by tracing, which the sandbox forbids.
UNTRACED = ("/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0")
# An experimental ether type (IEEE 802, local).
HELLO = bytes.fromhex("ffffffffffff" + MAC.replace(":", "") + "88b5") + \
    bytes(46)


def forwarding(host: Host) -> Dict[str, str]:
    """By which port the host's bridge reaches a MAC."""
    entries = json.loads(run("bridge", "-n", host.name, "-j", "fdb", "show",
                             "br", "br0"))
    return {entry["mac"]: entry["ifname"] for entry in entries}


class Network:
    """The VM's new host, and another one with a guest who hears all that
    is flooded; a bridge on each, a cable in between."""

    def __init__(self, site: Site, **vmm_options: Any) -> None:
        self.site = site
        self.new, self.other = site.host(), site.host()
        self.vmm: Vmm = site.guest(self.new, TAP, **vmm_options)
        self.listener = site.guest(self.other, "tap1")
        connect(self.new, "up0", self.other, "up0")
        self.new.add_bridge("br0", "up0", TAP)
        self.other.add_bridge("br0", "up0", "tap1")
        for host, ifname in ((self.new, TAP), (self.new, "up0"),
                             (self.other, "tap1"), (self.other, "up0")):
            host.wait_passing(ifname)
        self.listener.read()
        self.daemon: Daemon

    def start(self, properties: str, *options: str) -> None:
        """Start the daemon; the virtual machine does not run yet."""
        vm = ",vm=vm0" if "-object" in options else ""
        self.daemon = self.site.daemon(
            self.new, "daemon", "-S", "-netdev",
            f"tap,id=n0,ifname={TAP}{vm}", "-object",
            f"announce,id=an0,netdev=n0,mac={MAC},{properties}", *options,
            inside=UNTRACED if "-sandbox" in options else ())

    def lives_elsewhere(self) -> None:
        """The bridges have seen the virtual machine at the other host."""
        self.listener.write([HELLO])
        wait_until(lambda: (forwarding(self.new).get(MAC),
                            forwarding(self.other).get(MAC)) ==
                   ("up0", "tap1"), "the bridges to learn")

    def check_lives_here(self) -> None:
        """The bridges reach the virtual machine at its new host."""
        assert forwarding(self.new)[MAC] == TAP
        assert forwarding(self.other)[MAC] == "up0"

    def wait_sent(self, count: int) -> List[Frame]:
        """Wait until so many frames were sent, and have arrived."""
        wait_until(lambda: self.count("sent") >= count, "frames to be sent")
        self.listener.wait_count(count)
        return self.listener.frames()

    def count(self, name: str) -> int:
        """A counter of the object."""
        number: int = self.daemon.execute("qom-get", path="/objects/an0",
                                          property=name)
        return number

    def wait_ended(self, count: int) -> None:
        """Wait until it has let go of the TAP, having sent so many."""
        self.wait_sent(count)
        wait_until(lambda: len(open_taps(self.daemon)) == 0,
                   "the descriptor to be closed")
        assert self.count("sent") == count
        assert self.listener.count() == count


def open_taps(daemon: Daemon) -> List[str]:
    """The descriptors by which the daemon holds TAPs."""
    return [info.name for info in Path(f"/proc/{daemon.pid}/fdinfo").iterdir()
            if "\niff:" in info.read_text(encoding="ascii")]


def read(site: Site, frames: List[Frame]) -> List[List[str]]:
    """What tshark makes of frames: protocols, sender, and what each is
    about."""
    path = site.directory / "heard.pcap"
    path.write_bytes(
        struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) +
        b"".join(struct.pack("=IIII", i, 0, len(frame.data),
                             len(frame.data)) + frame.data
                 for i, frame in enumerate(frames)))
    return capture_lines(
        path, "frame.protocols", "eth.src", "vlan.id", "arp.opcode",
        "arp.src.hw_mac", "arp.src.proto_ipv4", "arp.dst.proto_ipv4",
        "icmpv6.type", "icmpv6.nd.na.target_address",
        "icmpv6.nd.na.flag.o", "icmpv6.nd.na.flag.s", "icmpv6.nd.na.flag.r",
        "icmpv6.opt.linkaddr", "icmpv6.checksum.status", "ipv6.src",
        "ipv6.dst", "ipv6.hlim")


def truth(text: str) -> bool:
    """A flag as one version of tshark or another prints it."""
    return text in ("1", "True")


@pytest.mark.parametrize("confinement", [
    (), SANDBOX, (*SANDBOX, "-user", "nobody")],
    ids=["root", "sandbox", "user"])
@pytest.mark.parametrize("vnet", [False, True], ids=["plain", "vnet"])
def test_bridges_learn(site: Site, vnet: bool,
                       confinement: Sequence[str]) -> None:
    """By the monitor's process: frames enter the bridge by the TAP's port,
    and every bridge learns it."""
    net = Network(site, vnet=vnet)
    net.vmm.set_status("inmigrate")
    net.vmm.serve(site.directory / "vm")
    net.start("initial=1,step=1", "-object",
              f"vm-qmp,id=vm0,addr=unix:{site.path('vm')}", *confinement)
    net.daemon.wait_log("the VM is stopped")
    net.lives_elsewhere()
    assert net.count("sent") == 0
    net.vmm.resume()
    net.wait_ended(5)
    net.check_lives_here()
    assert f"through process {net.vmm.pid}" in net.daemon.log
    assert len({frame.data for frame in net.listener.frames()}) == 1


@pytest.mark.parametrize("vlan", [0, 291])
def test_frames(site: Site, vlan: int) -> None:
    """By the daemon's own run state, all addresses, read by tshark."""
    net = Network(site)
    net.start(f"rounds=2,initial=1,vlan={vlan},"
              "ip=10.9.8.7 fe80::1 2001:db8::9", *SANDBOX)
    net.lives_elsewhere()
    net.daemon.execute("cont")
    net.wait_ended(8)
    net.check_lives_here()
    rows = read(site, net.listener.frames())
    assert rows[:4] == rows[4:]
    tag = "vlan:ethertype:" if vlan else ""
    rarp, arp, link_local, address = rows[:4]
    for row in rows:
        assert row[1:3] == [MAC, str(vlan) if vlan else ""]
    assert rarp[0] == f"eth:ethertype:{tag}arp"
    assert rarp[3:7] == ["3", MAC, "0.0.0.0", "0.0.0.0"]
    assert arp[3:7] == ["1", MAC, "10.9.8.7", "10.9.8.7"]
    for row, ip in ((link_local, "fe80::1"), (address, "2001:db8::9")):
        assert row[0] == f"eth:ethertype:{tag}ipv6:icmpv6"
        assert row[7:9] == ["136", ip]
        assert [truth(flag) for flag in row[9:12]] == [True, False, False]
        assert row[12] == MAC
        assert row[13] in ("1", "Good")
        assert row[14:] == [ip, "ff02::1", "255"]


def test_router(site: Site) -> None:
    """A router stays one in the eyes of its neighbours."""
    net = Network(site)
    net.start("rounds=1,rarp=off,router=on,ip=fe80::1")
    net.daemon.execute("cont")
    net.wait_ended(1)
    assert truth(read(site, net.listener.frames())[0][11])


@pytest.mark.parametrize("end", ["stop", "gone", "object-del"])
def test_ends_early(site: Site, end: str) -> None:
    """Nothing is announced of a VM that has stopped or gone."""
    net = Network(site)
    run("mkfifo", site.path("state"))
    net.start("rounds=1000,initial=5,step=0", "-object",
              "vm-lines,id=vm0,chardev=state", "-chardev",
              f"pipe,id=state,path={site.path('state')}")
    state = Path(site.path("state"))
    state.write_text("running\n", encoding="ascii")
    net.wait_sent(3)
    if end == "object-del":
        net.daemon.execute("object-del", id="an0")
    else:
        state.write_text({"stop": "stopped", "gone": "gone"}[end] + "\n",
                         encoding="ascii")
    wait_until(lambda: len(open_taps(net.daemon)) == 0,
               "the descriptor to be closed")
    heard = net.listener.count()
    assert heard < 1000
    if end == "stop":
        # And anew when it runs again.
        state.write_text("running\n", encoding="ascii")
        net.wait_sent(heard + 3)


def test_never_from_the_old_host(site: Site) -> None:
    """A VM that stops here has nothing announced here, before or after."""
    net = Network(site)
    net.daemon = site.daemon(
        net.new, "daemon", "-netdev", f"tap,id=n0,ifname={TAP}", "-object",
        f"announce,id=an0,netdev=n0,mac={MAC},initial=1")
    net.daemon.execute("stop")
    net.lives_elsewhere()
    assert net.count("sent") == 0
    assert open_taps(net.daemon) == []
    assert net.listener.count() == 0


def test_no_process_has_the_tap(site: Site) -> None:
    """Then a line says so, and the next time is another chance."""
    net = Network(site)
    net.start("initial=1,step=1,rounds=2")
    net.vmm.close_tap()
    net.daemon.execute("cont")
    net.daemon.wait_log("does not announce")
    assert net.count("sent") == 0
    net.daemon.execute("stop")
    net.vmm.open(TAP)
    net.new.wait_passing(TAP)
    net.daemon.execute("cont")
    net.wait_ended(2)


def test_tap_down(site: Site) -> None:
    """What the TAP does not take is counted."""
    net = Network(site)
    net.start("initial=1,step=1,rounds=3")
    net.new.ip(f"link set {TAP} down")
    net.daemon.execute("cont")
    wait_until(lambda: net.count("failed") == 3, "frames to fail")
    assert net.daemon.log.count("can not send") == 1
    assert net.count("sent") == 0


@pytest.mark.parametrize("properties, error", [
    ("netdev=n1,mac=" + MAC, "expects the id of a tap"),
    ("netdev=n9,mac=" + MAC, "expects the id of a tap"),
    ("netdev=n0", "Parameter 'mac' is missing"),
    ("netdev=n0,mac=52:54:00:ab:cd", "Parameter 'mac' expects"),
    ("netdev=n0,mac=52:54:00:ab:cd:zz", "Parameter 'mac' expects"),
    ("netdev=n0,mac=52:54:00:ab:cd-01", "Parameter 'mac' expects"),
    ("netdev=n0,mac=53:54:00:ab:cd:01", "Parameter 'mac' expects"),
    (f"netdev=n0,mac={MAC},ip=10.0.0.300", "not '10.0.0.300'"),
    (f"netdev=n0,mac={MAC},vlan=4095", "vlan"),
    (f"netdev=n0,mac={MAC},rarp=off", "nothing is announced"),
])
def test_refusals(site: Site, properties: str, error: str) -> None:
    """What makes no sense is refused."""
    host = site.host()
    site.guest(host)
    done = run_daemon(host, "-netdev", "tap,id=n0,ifname=tap0", "-netdev",
                      "dgram,id=n1,local.type=unix,local.path="
                      f"{site.path('a')},remote.type=unix,remote.path="
                      f"{site.path('b')}", "-object",
                      f"announce,id=an0,{properties}")
    assert done.returncode == 1
    assert error in done.stderr
