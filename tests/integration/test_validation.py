# SPDX-License-Identifier: BSD-2-Clause
"""What can't be is refused, with one clear line or the right error class,
and leaves no trace."""

from typing import Any, Dict, List, Sequence

import pytest

from lib.daemon import Daemon, QmpFailure, program, run_daemon
from lib.hosts import Host
from lib.site import Site
from lib.switchover import TAP

GENERIC = "GenericError"
NOT_FOUND = "DeviceNotFound"

# Properties that make no sense, the class of the error, and what it names.
REFUSED = [
    ("", GENERIC, "indev"),
    ("indev=c0,outdev=c0", GENERIC, "same"),
    ("in_netdev=n0,out_netdev=n1,indev=c0,outdev=c1", GENERIC,
     "out_netdev"),
    ("in_netdev=n0,indev=c0", GENERIC, "indev"),
    ("in_netdev=n0,indev=c0,outdev=c1", GENERIC, "indev"),
    ("out_netdev=n0,outdev=c0", GENERIC, "outdev"),
    ("indev=c0,out_netdev=n0,outdev=c1", GENERIC, "outdev"),
    ("in_netdev=nosuch,outdev=c0", GENERIC, "nosuch"),
    ("indev=c0,out_netdev=nosuch", GENERIC, "nosuch"),
    ("in_netdev=c0,outdev=c1", GENERIC, "c0"),
    ("in_netdev=n0,outdev=nosuch", NOT_FOUND, "nosuch"),
    ("indev=nosuch,out_netdev=n0", NOT_FOUND, "nosuch"),
    ("indev=nosuch", NOT_FOUND, "nosuch"),
    ("outdev=nosuch", NOT_FOUND, "nosuch"),
    ("in_netdev=n0,outdev=busy", GENERIC, "busy"),
    ("indev=busy,out_netdev=n0", GENERIC, "busy"),
    ("in_netdev=n0,outdev=c0,overlap=65", GENERIC, "overlap"),
    ("in_netdev=n0,outdev=c0,capture=some", GENERIC, "capture"),
    ("in_netdev=n0,outdev=c0,arm=never", GENERIC, "arm"),
    ("in_netdev=n0,outdev=c0,on-full=explode", GENERIC, "on-full"),
    ("indev=c0,out_netdev=n0,hold-size=0", GENERIC, "hold-size"),
    ("indev=c0,out_netdev=n0,nosuch=1", GENERIC, "nosuch"),
    ("outdev=c0,capture=undelivered", GENERIC, "in_netdev"),
    ("in_netdev=n0,outdev=c0,status=maybe", GENERIC, "status"),
    ("in_netdev=n0,outdev=c0,position=middle", GENERIC, "position"),
    ("in_netdev=n0,outdev=c0,position=id=nosuch", GENERIC, "nosuch"),
]

Command = List[str]


def make_host(site: Site) -> Host:
    """A host with two TAPs."""
    host = site.host()
    for ifname in (TAP, "tap1"):
        host.add_tap(ifname)
    host.ip(f"link set {TAP} up", "link set tap1 up")
    return host


def devices(site: Site) -> Command:
    """Two taps, two chardevs, and one that is taken."""
    command = ["-netdev", f"tap,id=n0,ifname={TAP}",
               "-netdev", "tap,id=n1,ifname=tap1"]
    for name in ("c0", "c1", "busy"):
        command += ["-chardev", f"socket,id={name},path={site.path(name)},"
                    "server=on,wait=off"]
    return command + ["-object",
                      "filter-redirector,id=owner,netdev=n1,outdev=busy"]


def check_refused(host: Host, command: Sequence[str], word: str,
                  **options: Any) -> None:
    """The daemon refuses to start and says why in one line."""
    done = run_daemon(host, *command, **options)
    assert done.returncode == 1
    line = done.stderr.rstrip("\n")
    assert "\n" not in line and word in line, done.stderr
    assert done.stdout == ""


@pytest.fixture(name="daemon")
def fixture_daemon(site: Site) -> Daemon:
    """A daemon with the devices."""
    return site.daemon(make_host(site), "daemon", *devices(site))


def parse(properties: str) -> Dict[str, Any]:
    """The properties as QMP takes them."""
    words = [word.split("=", 1) for word in properties.split(",") if word]
    return {key: int(value) if key in ("overlap", "hold-size") else value
            for key, value in words}


def test_refused_on_the_command_line(site: Site) -> None:
    """Each of them ends the daemon."""
    host = make_host(site)
    for properties, _, word in REFUSED:
        check_refused(host, [
            *devices(site), "-object",
            f"filter-redirector,id=rd0,netdev=n0,{properties}".rstrip(",")],
            word)
    assert not list(site.directory.iterdir())


def test_refused_by_object_add(daemon: Daemon) -> None:
    """Each of them fails, and the name and the devices are free again."""
    for properties, kind, word in REFUSED:
        with pytest.raises(QmpFailure) as failure:
            daemon.add("filter-redirector", "rd0", netdev="n0",
                       **parse(properties))
        assert failure.value.kind == kind, (properties, failure.value)
        assert word in failure.value.text, (properties, failure.value)
        check_no_trace(daemon)


def check_no_trace(daemon: Daemon) -> None:
    """There is only what was there before; both ends can be made."""
    assert [entry["name"] for entry in daemon.entries()] == ["owner"]
    for properties in ({"in_netdev": "n0", "outdev": "c0"},
                       {"indev": "c1", "out_netdev": "n1"}):
        daemon.add("filter-redirector", "rd0", netdev="n0", **properties)
        daemon.execute("object-del", id="rd0")


def test_netdev_that_is_no_tap(site: Site) -> None:
    """Captures and injections need an interface."""
    host = make_host(site)
    if "stream" not in run_daemon(host, "-netdev", "help").stdout:
        pytest.skip("there is no other kind of netdev")
    stream = ["-netdev", "stream,id=s0,server=on,addr.type=unix,"
              f"addr.path={site.path('stream')}"]
    for properties in ("in_netdev=s0,outdev=c0", "indev=c0,out_netdev=s0"):
        check_refused(host, [
            *devices(site), *stream, "-object",
            f"filter-redirector,id=rd0,netdev=n0,{properties}"], "s0")


def test_missing_interface(site: Site) -> None:
    """A tap's interface must exist."""
    host = make_host(site)
    check_refused(host, ["-netdev", "tap,id=n0,ifname=nosuch"], "nosuch")
    check_refused(host, ["-netdev", "tap,id=n0,ifname=averyverylongname0"],
                  "averyverylongname0")
    check_refused(host, ["-netdev", "tap,id=n0"], "ifname")
    check_refused(host, ["-netdev", f"tap,id=n0,ifname={TAP},vm=nosuch"],
                  "vm")


def test_missing_interface_by_netdev_add(daemon: Daemon) -> None:
    """Neither can it be added later, and its name stays free."""
    with pytest.raises(QmpFailure) as failure:
        daemon.execute("netdev_add", type="tap", id="n2", ifname="nosuch")
    assert failure.value.kind == GENERIC
    assert "nosuch" in failure.value.text
    daemon.execute("netdev_add", type="tap", id="n2", ifname=TAP)
    daemon.execute("netdev_del", id="n2")


def test_without_the_right(site: Site) -> None:
    """Without CAP_NET_RAW it fails at the start, not at the switchover."""
    host = make_host(site)
    check_refused(
        host, ["-netdev", f"tap,id=n0,ifname={TAP}"], "CAP_NET_RAW",
        inside=["setpriv", "--bounding-set", "-net_raw", "--inh-caps",
                "-net_raw", "--"])


def test_in_use(daemon: Daemon) -> None:
    """What a redirector uses can't be taken away from it."""
    daemon.add("filter-redirector", "rd0", netdev="n0", in_netdev="n1",
               outdev="c0")
    for command, name in (("netdev_del", "n1"), ("chardev-remove", "c0")):
        with pytest.raises(QmpFailure) as failure:
            daemon.execute(command, id=name)
        assert failure.value.kind == GENERIC
    assert [entry["name"] for entry in daemon.entries()] == ["rd0", "owner"]


def test_netdev_del_takes_its_filters_along(daemon: Daemon) -> None:
    """As in QEMU; what they used is free afterwards."""
    daemon.add("filter-redirector", "rd0", netdev="n0", in_netdev="n1",
               outdev="c0")
    daemon.execute("netdev_del", id="n0")
    daemon.execute("chardev-remove", id="c0")
    daemon.execute("netdev_del", id="n1")
    daemon.execute("chardev-remove", id="busy")
    assert daemon.entries() == []


def test_name_in_use(daemon: Daemon) -> None:
    """Two objects can't have one name; the first stays as it is."""
    with pytest.raises(QmpFailure) as failure:
        daemon.add("filter-redirector", "owner", netdev="n0",
                   in_netdev="n0", outdev="c0")
    assert failure.value.kind == GENERIC
    check_no_trace(daemon)


def test_unknown_filter(daemon: Daemon) -> None:
    """Statistics of a filter that is not there."""
    with pytest.raises(QmpFailure) as failure:
        daemon.execute("query-netfilter-stats", name="nosuch")
    assert failure.value.kind == GENERIC


def test_program_is_there() -> None:
    """The daemon that is tested."""
    assert program().exists()
