# SPDX-License-Identifier: BSD-2-Clause
"""vm-qmp follows a virtual machine whose monitor comes late, goes away,
and comes back."""

import socket
from typing import Tuple

from lib.daemon import run_daemon
from lib.frames import numbered_range
from lib.site import Site
from lib.switchover import TAP, Destination, Source
from lib.wire import Peer

WIRE = "server=on,wait=off"


def start_source(site: Site, serve: bool) -> Tuple[Source, Peer]:
    """A source and its peer."""
    source = Source(site)
    if serve:
        source.serve()
    source.start(f"socket,path={site.path('out')},{WIRE}")
    return source, site.peer("out")


def start_destination(site: Site, serve: bool) -> Tuple[Destination, Peer]:
    """A destination and its peer."""
    end = Destination(site)
    if serve:
        end.serve()
        end.start(f"socket,path={site.path('in')},{WIRE}")
    else:
        end.daemon = site.daemon(
            end.host, end.name, *end.netdev(), "-chardev",
            f"socket,id=in0,path={site.path('in')},{WIRE}", "-object",
            "filter-redirector,id=rd0,netdev=n0,indev=in0,out_netdev=n0")
    return end, site.peer("in")


def test_source_without_a_monitor(site: Site) -> None:
    """Until the machine has answered it counts as running here."""
    source, peer = start_source(site, serve=False)
    source.daemon.wait_log("no monitor there yet")
    source.run(10)
    assert peer.is_silent()
    source.serve()
    source.daemon.wait_log("the VM is running")
    source.calibrate()
    source.vmm.read(False)
    first = source.next
    source.send(10)
    source.vmm.swallow(1)
    source.vmm.stop()
    assert peer.receive(10) == numbered_range(first, first + 10)


def test_monitor_with_another_client(site: Site) -> None:
    """One that takes the connection and says nothing, as QEMU's does while it
    has a client: the log tells."""
    path = site.path("vm")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        host = site.host()
        host.add_tap("tap0")
        daemon = site.daemon(host, "source", "-object",
                             f"vm-qmp,id=vm0,addr=unix:{path}")
        connection, _address = listener.accept()
        with connection:
            daemon.wait_log("the monitor does not answer: it has one client")
            daemon.wait_log("the VM counts as running for a source")
            connection.sendall(b'{"QMP": {}}\r\n{"return": {}, "id": 1}\r\n'
                               b'{"return": {"running": true, "status": '
                               b'"running"}, "id": 2}\r\n')
            daemon.wait_log("the VM is running")


def test_source_that_stands_still(site: Site) -> None:
    """A monitor that appears says that the machine is stopped."""
    source, peer = start_source(site, serve=False)
    source.vmm.set_status("paused")
    source.send(5)
    source.daemon.wait_counters(pending=5)
    source.serve()
    assert peer.receive(5) == numbered_range(0, 5)


def test_destination_without_a_monitor(site: Site) -> None:
    """Until the machine has answered it counts as stopped here."""
    end, peer = start_destination(site, serve=False)
    end.daemon.wait_log("no monitor there yet")
    peer.send(numbered_range(0, 10))
    end.daemon.wait_counters(held=10)
    end.vmm.read()
    end.serve()
    end.daemon.wait_log("the VM is stopped")
    end.daemon.wait_counters(held=10)
    end.resume()
    end.vmm.wait_count(10)
    assert end.vmm.numbers() == list(range(10))


def test_destination_that_runs_already(site: Site) -> None:
    """A monitor that appears says that the machine runs."""
    end, peer = start_destination(site, serve=False)
    peer.send(numbered_range(0, 10))
    end.daemon.wait_counters(held=10)
    end.vmm.set_status("running")
    end.vmm.read()
    end.serve()
    end.vmm.wait_count(10)
    assert end.vmm.numbers() == list(range(10))


def test_stopped_while_disconnected(site: Site) -> None:
    """A connection that ends says nothing; the next one tells what
    happened meanwhile."""
    source, peer = start_source(site, serve=True)
    source.calibrate()
    source.vmm.unserve()
    source.daemon.wait_log("the connection ended")
    source.run(5)
    source.vmm.stop()
    first = source.next
    source.send(5)
    source.daemon.wait_counters(pending=5)
    source.serve()
    assert peer.receive(5) == numbered_range(first, first + 5)


def test_resumed_while_disconnected(site: Site) -> None:
    """Likewise at the destination."""
    end, peer = start_destination(site, serve=True)
    peer.send(numbered_range(0, 10))
    end.daemon.wait_counters(held=10)
    end.vmm.unserve()
    end.daemon.wait_log("the connection ended")
    end.daemon.wait_counters(held=10)
    end.resume()
    end.serve()
    end.vmm.wait_count(10)
    assert end.vmm.numbers() == list(range(10))


def test_reconnects_again_and_again(site: Site) -> None:
    """Each time it asks anew, and a stop is heard over the last one."""
    source, peer = start_source(site, serve=True)
    for connection in range(2, 5):
        source.vmm.unserve()
        source.serve()
        source.daemon.wait_log("the VM is running", connection)
        source.run(3)
    source.calibrate()
    source.vmm.read(False)
    first = source.next
    source.send(5)
    source.vmm.stop()
    assert peer.receive(5) == numbered_range(first, first + 5)


def test_process_dies_at_the_destination(site: Site) -> None:
    """The VMM crashed: what was held for its guest is discarded."""
    end, peer = start_destination(site, serve=True)
    peer.send(numbered_range(0, 10))
    end.daemon.wait_counters(held=10)
    end.vmm.kill()
    end.daemon.wait_counters(held=0, discarded=10)


def test_process_ends_at_the_source(site: Site) -> None:
    """The VMM ends after the migration: what is queued is still shipped."""
    source = Source(site)
    source.serve()
    source.start(f"socket,path={site.path('out')},{WIRE}")
    source.daemon.wait_log("the VM is running")
    source.vmm.migration("active")
    source.vmm.stop()
    source.wait_phase("shipping")
    source.send(20)
    source.daemon.wait_counters(queued=20)
    source.vmm.migration("completed")
    source.vmm.kill()
    source.daemon.wait_log("the connection ended")
    assert site.peer("out").receive(20) == numbered_range(0, 20)
    source.daemon.wait_counters(outdev=20, queued=0)


def test_another_process_takes_over(site: Site) -> None:
    """A new VMM at the same address: its used index is read from its own
    memory."""
    source, peer = start_source(site, serve=True)
    source.calibrate()
    source.vmm.close()
    (site.directory / "source.vm").unlink()
    source.vmm = site.vmm(source.host, TAP)
    source.serve()
    source.daemon.wait_log("reads what the guest got", 2)
    source.daemon.wait_log("the VM is running", 2)
    before = source.next
    source.vmm.read()
    for number in range(1, 11):
        source.send(1)
        source.vmm.wait_count(number)
        source.daemon.wait_counters(pending=0, delivered=before + number)
    source.daemon.wait_exact()
    source.vmm.read(False)
    first = source.next
    source.send(10)
    source.vmm.swallow(2)
    source.vmm.stop()
    assert peer.receive(10) == numbered_range(first, first + 10)
    entry, = source.daemon.execute("query-switchover")
    assert entry["method"] == "used-index"


def test_shutdown_at_the_source(site: Site) -> None:
    """A machine that is shut down while frames are remembered for it."""
    source, peer = start_source(site, serve=True)
    source.calibrate()
    source.vmm.emit("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"})
    source.run(5)
    assert peer.is_silent()


def test_two_machines(site: Site) -> None:
    """Two machines with a TAP each in one daemon; one of them stops."""
    host = site.host()
    guests = [site.guest(host, f"tap{number}") for number in range(2)]
    arguments = []
    for number, guest in enumerate(guests):
        guest.read()
        guest.serve(site.directory / f"vm{number}")
        arguments += [
            "-object", f"vm-qmp,id=vm{number},"
            f"addr=unix:{site.path(f'vm{number}')}",
            "-netdev", f"tap,id=n{number},ifname=tap{number},vm=vm{number}",
            "-chardev", f"socket,id=out{number},"
            f"path={site.path(f'out{number}')},{WIRE}",
            "-object", f"filter-redirector,id=rd{number},netdev=n{number},"
            f"in_netdev=n{number},outdev=out{number},capture=undelivered,"
            "arm=always"]
    daemon = site.daemon(host, "two", *arguments)
    peers = [site.peer(f"out{number}") for number in range(2)]
    daemon.wait_log("reads what the guest got", 2)
    for number in range(10):
        for which, guest in enumerate(guests):
            host.sender(f"tap{which}").send(
                numbered_range(number, number + 1))
            guest.wait_count(number + 1)
            daemon.wait_counters(f"rd{which}", delivered=number + 1)
    daemon.wait_exact("rd1")
    guests[1].read(False)
    host.sender("tap1").send(numbered_range(10, 15))
    guests[1].swallow(2)
    guests[1].stop()
    assert peers[1].receive(5) == numbered_range(10, 15)
    host.sender("tap0").send(numbered_range(10, 15))
    guests[0].wait_count(15)
    daemon.wait_counters("rd0", delivered=15, outdev=0)
    daemon.wait_counters("rd1", delivered=10, outdev=5)


def test_one_machine_with_two_nics(site: Site) -> None:
    """The used indices of a machine's NICs are told apart."""
    host = site.host()
    for ifname in ("tap0", "tap1"):
        host.add_tap(ifname)
    guest = site.vmm(host, "tap0", "tap1")
    guest.serve(site.directory / "vm")
    arguments = ["-object", f"vm-qmp,id=vm0,addr=unix:{site.path('vm')}"]
    for number in range(2):
        guest.read(True, f"tap{number}")
        arguments += [
            "-netdev", f"tap,id=n{number},ifname=tap{number},vm=vm0",
            "-chardev", f"socket,id=out{number},"
            f"path={site.path(f'out{number}')},{WIRE}",
            "-object", f"filter-redirector,id=rd{number},netdev=n{number},"
            f"in_netdev=n{number},outdev=out{number},capture=undelivered,"
            "arm=always"]
    daemon = site.daemon(host, "nics", *arguments)
    daemon.wait_log("reads what the guest got", 2)
    for number in range(10):
        for ifname, count in (("tap0", 1), ("tap1", 2)):
            first = number * count
            host.sender(ifname).send(numbered_range(first, first + count))
            guest.wait_count(first + count, ifname)
            daemon.wait_counters(f"rd{ifname[-1]}", delivered=first + count)
    for name in ("rd0", "rd1"):
        daemon.wait_exact(name)
    for ifname, first in (("tap0", 10), ("tap1", 20)):
        guest.read(False, ifname)
        host.sender(ifname).send(numbered_range(first, first + 5))
    guest.swallow(1, "tap0")
    guest.swallow(3, "tap1")
    guest.stop()
    for name, first in (("out0", 10), ("out1", 20)):
        assert site.peer(name).receive(5) == numbered_range(first, first + 5)
    assert {entry["method"] for entry in
            daemon.execute("query-switchover")} == {"used-index"}


def test_nic_that_is_not_there(site: Site) -> None:
    """A device of another name is no reason to be silent: the log says once
    why it counts."""
    host = site.host()
    guest = site.guest(host, "tap0")
    guest.serve(site.directory / "vm")
    daemon = site.daemon(
        host, "source", "-object",
        f"vm-qmp,id=vm0,addr=unix:{site.path('vm')},device=nosuch",
        "-netdev", "tap,id=n0,ifname=tap0,vm=vm0", "-chardev", "null,id=c0",
        "-object", "filter-redirector,id=rd0,netdev=n0,in_netdev=n0,"
        "outdev=c0,capture=undelivered")
    daemon.wait_log("no virtio-net device has it for its netdev")
    guest.stop()
    daemon.wait_phase("shipping")
    assert daemon.log.count("counts instead") == 1


def test_refuses_what_is_no_address(site: Site) -> None:
    """An address that can't be one."""
    done = run_daemon(site.host(), "-object", "vm-qmp,id=vm0,addr=nonsense")
    assert done.returncode == 1 and "nonsense" in done.stderr
