# SPDX-License-Identifier: BSD-2-Clause
"""The hook for libvirt, called as libvirt calls it, with a tapferryd on each
host: a domain comes up, moves, and goes."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Dict, List

import pytest

from lib.daemon import Daemon
from lib.frames import numbered_range
from lib.hosts import Host, connect
from lib.site import Site
from lib.vmm import Vmm
from lib.waiting import wait_until

HOOK = Path(__file__).resolve().parents[2] / "contrib/libvirt/qemu"
UUID = str(uuid.UUID(int=0xC7A5FDBDEDAF4A8AB7F3B2B10C2E2E57))
LINK = "<tapferry:link xmlns:tapferry='urn:tapferry:libvirt' port='4790'/>"
NEW_HOST = "10.99.0.2"

XML = """<domain type='kvm' id='1'
 xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <uuid>{uuid}</uuid>
  <metadata>{link}</metadata>
  <devices>
    <interface type='bridge'>
      <mac address='52:54:00:6d:90:02'/>
      <source bridge='br0'/>
      {targets[0]}
      <model type='virtio'/>
    </interface>
    <interface type='direct'>
      <source dev='eth0' mode='bridge'/>
      <target dev='macvtap0'/>
    </interface>
    <interface type='network'>
      <source network='default'/>
      {targets[1]}
    </interface>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-global'/>
    <qemu:arg value='x=y'/>
    {monitor}
  </qemu:commandline>
</domain>
"""


class End:
    """A host of libvirt's, with a TAP per NIC, a VMM and a tapferryd."""

    def __init__(self, site: Site, name: str) -> None:
        self.site, self.name = site, name
        self.host: Host = site.host()
        self.taps = [f"vnet{name}0", f"vnet{name}1"]
        for ifname in self.taps:
            self.host.add_tap(ifname)
        self.vmm: Vmm = site.vmm(self.host, *self.taps)
        self.vmm.serve(site.directory / f"{name}.vm")
        self.daemon: Daemon = site.daemon(self.host, name)
        self._settings = site.directory / f"{name}.json"
        self._settings.write_text(json.dumps({
            "socket": site.path(f"{name}.qmp"),
            "state": site.path(f"{name}.state")}), encoding="utf-8")

    def xml(self, link: str = LINK, monitor: bool = True,
            named: bool = True) -> str:
        """The domain as it is on this host."""
        arguments = ("-qmp", f"unix:{self.site.path(self.name)}.vm,server=on,"
                             "wait=off")
        return XML.format(
            uuid=UUID, link=link,
            targets=[f"<target dev='{ifname}'/>" if named else ""
                     for ifname in self.taps],
            monitor="".join(f"<qemu:arg value='{word}'/>"
                            for word in arguments if monitor))

    def hook(self, operation: str, sub_operation: str, extra: str = "-",
             xml: str = "") -> "subprocess.CompletedProcess[str]":
        """Call the hook; it never says anything that libvirt would take
        for the domain's new XML."""
        done = subprocess.run(
            [str(HOOK), "web", operation, sub_operation, extra],
            input=xml or self.xml(), text=True, check=False, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TAPFERRY_LIBVIRT": str(self._settings)})
        assert done.stdout == ""
        return done

    def call(self, operation: str, sub_operation: str, extra: str = "-",
             xml: str = "") -> None:
        """Call the hook; it has nothing to complain of."""
        done = self.hook(operation, sub_operation, extra, xml)
        assert (done.returncode, done.stderr) == (0, "")

    def objects(self) -> Dict[str, List[str]]:
        """What is in the daemon, without the monitor."""
        return {
            "objects": sorted(entry["name"] for entry in self.daemon.execute(
                "qom-list", path="/objects") if entry["name"] != "type"),
            "chardevs": sorted(
                entry["label"]
                for entry in self.daemon.execute("query-chardev")
                if not entry["label"].startswith("compat_monitor")),
            "netdevs": [line for line in self.daemon.hmp(
                "info network").splitlines() if "type=tap" in line]}

    def check_gone(self) -> None:
        """Nothing of the domain is left."""
        assert self.objects() == {"objects": [], "chardevs": [],
                                  "netdevs": []}

    def start_domain(self) -> None:
        """libvirt starts the domain."""
        for operation in ("prepare", "start", "started"):
            self.call(operation, "begin")

    def stop_domain(self, reason: str = "-") -> None:
        """libvirt has stopped it, and forgets how its TAPs were called."""
        self.call("stopped", "end", xml=self.xml(named=False))
        self.call("release", "end", reason, xml=self.xml(named=False))


def object_id(kind: str, number: int) -> str:
    """The name of one of the domain's objects."""
    return f"{kind}-{UUID}-{number}"


def test_domain_moves(site: Site) -> None:
    """Up on one host, over to another with every frame for both NICs, and
    down there."""
    old, new = End(site, "a"), End(site, "b")
    connect(old.host, "mgmt0", new.host, "mgmt0")
    old.host.ip("addr add 10.99.0.1/24 dev mgmt0")
    new.host.ip(f"addr add {NEW_HOST}/24 dev mgmt0")
    old.start_domain()
    assert old.objects()["objects"] == [f"vm-{UUID}"]
    assert len(old.objects()["netdevs"]) == 2
    assert old.objects()["chardevs"] == []

    old.call("migrate-to", "-", NEW_HOST)
    old.daemon.wait_log("reads what the guest got", 2)
    new.vmm.set_status("inmigrate")
    new.call("migrate", "begin")
    new.start_domain()
    for end in (old, new):
        assert end.objects()["objects"] == sorted(
            [f"vm-{UUID}", object_id("rd", 0), object_id("rd", 1)])
        end.daemon.wait_connected()
    new.daemon.wait_log("the VM is stopped")

    old.vmm.migration("setup")
    old.daemon.wait_log("armed", 2)
    for ifname in old.taps:
        old.vmm.read(False, ifname)
        old.host.sender(ifname).send(numbered_range(0, 10))
    old.vmm.stop()
    old.daemon.wait_log("shipping", 2)
    old.vmm.migration("completed")
    for number in range(2):
        old.daemon.wait_counters(object_id("rd", number), queued=0, outdev=10)
    old.vmm.close()
    old.stop_domain("migrated")
    old.check_gone()
    new.vmm.resume()
    for ifname in new.taps:
        new.vmm.wait_count(10, ifname)
        assert new.vmm.numbers(ifname) == list(range(10))

    # On from there: what took frames from the old host makes room.
    new.call("migrate-to", "-", "10.99.0.1")
    for number in range(2):
        assert new.daemon.execute(
            "qom-get", path=f"/objects/{object_id('rd', number)}",
            property="capture") == "undelivered"
    new.stop_domain("destroyed")
    new.check_gone()


def test_daemon_or_libvirt_starts_anew(site: Site) -> None:
    """libvirt reconnects: nothing is made twice, what is missing is made."""
    end = End(site, "a")
    end.start_domain()
    before = end.objects()
    end.call("reconnect", "begin")
    assert end.objects() == before
    end.daemon.execute("netdev_del", id=object_id("tap", 0))
    end.daemon.execute("netdev_del", id=object_id("tap", 1))
    end.daemon.execute("object-del", id=f"vm-{UUID}")
    end.call("reconnect", "begin")
    assert end.objects() == before
    # A start after a crash finds what the last run has left.
    end.start_domain()
    assert end.objects() == before


def test_migration_that_fails_before_it_starts(site: Site) -> None:
    """The next start is an ordinary one."""
    end = End(site, "a")
    end.call("migrate", "begin")
    end.stop_domain("failed")
    end.start_domain()
    assert end.objects()["chardevs"] == []


def test_other_domains(site: Site) -> None:
    """Who does not ask for it is left alone."""
    end = End(site, "a")
    other = end.xml(link="<other:thing xmlns:other='urn:other'/>")
    for operation in ("migrate", "prepare", "start", "started", "reconnect"):
        end.call(operation, "begin", xml=other)
    end.check_gone()
    done = end.hook("migrate-to", "-", NEW_HOST, xml=other)
    assert done.returncode == 1
    assert "metadata" in done.stderr


@pytest.mark.parametrize("operation", ["started", "reconnect", "release",
                                       "migrate"])
@pytest.mark.parametrize("what", ["daemon", "monitor", "xml", "tap"])
def test_failures_do_not_harm_the_domain(site: Site, operation: str,
                                         what: str) -> None:
    """The domain starts and stops all the same; the log says why there is
    no help for it."""
    end = End(site, "a")
    xml = {"monitor": end.xml(monitor=False), "xml": "<domain>",
           "tap": end.xml().replace("vneta1", "nosuch")}.get(what, "")
    if what == "daemon":
        end.daemon.stop()
    done = end.hook(operation, "begin", xml=xml)
    assert done.returncode == 0
    complains = {
        "daemon": operation != "migrate", "xml": True,
        "monitor": operation in ("started", "reconnect"),
        "tap": operation in ("started", "reconnect")}[what]
    assert (done.stderr != "") == complains
    if what != "daemon" and complains:
        end.check_gone()


def test_migrate_to_fails_aloud(site: Site) -> None:
    """The administrator hears of it before the migration."""
    end = End(site, "a")
    done = end.hook("migrate-to", "-", NEW_HOST, xml=end.xml(monitor=False))
    assert done.returncode == 1
    assert "-qmp unix:PATH" in done.stderr
    end.daemon.stop()
    done = end.hook("migrate-to", "-", NEW_HOST)
    assert done.returncode == 1
    assert "does tapferryd run?" in done.stderr


def test_source_waits_until_all_is_shipped(site: Site) -> None:
    """Who comes late to fetch the last frames still gets them."""
    old, new = End(site, "a"), End(site, "b")
    connect(old.host, "mgmt0", new.host, "mgmt0")
    old.host.ip("addr add 10.99.0.1/24 dev mgmt0")
    new.host.ip(f"addr add {NEW_HOST}/24 dev mgmt0")
    old.start_domain()
    old.call("migrate-to", "-", NEW_HOST)
    old.vmm.migration("setup")
    old.daemon.wait_log("armed", 2)
    old.vmm.stop()
    old.host.sender(old.taps[0]).send(numbered_range(0, 10))
    old.daemon.wait_counters(object_id("rd", 0), queued=10)
    new.vmm.set_status("inmigrate")
    new.call("migrate", "begin")
    new.start_domain()
    old.stop_domain("migrated")
    wait_until(lambda: new.daemon.counters(object_id("rd", 0))["held"] == 10,
               "the frames to arrive")
