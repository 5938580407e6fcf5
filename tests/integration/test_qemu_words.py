# SPDX-License-Identifier: BSD-2-Clause
"""What `info network` and the events say of socket netdevs, ours beside
QEMU's: the flows of QEMU's tests/qtest/netdev-socket.c.

Two programs each have one end of a connection.  What is said by two QEMUs is
compared with what is said where one or both are ours.
"""

import re
import socket
from pathlib import Path
from typing import Any, Dict, List, Tuple

import pytest

from lib.program import Program
from lib.qemu import Qemu, needs_qemu
from lib.site import Site
from lib.waiting import GENEROUS, wait_until

pytestmark = needs_qemu

# The -netdev options of both ends, without the id.
Case = Tuple[str, str]


def cases(directory: Path) -> Dict[str, Case]:
    """All of them, by name; {a} and {b} are the ends of a socket pair."""
    unix = f"addr.type=unix,addr.path={directory}/link"
    tcp = "addr.type=inet,addr.host=127.0.0.1,addr.port=7701"
    tcp6 = "addr.type=inet,addr.host=::1,addr.port=7701"
    servers_and_clients = {
        "stream-inet4": tcp,
        "stream-inet4-only": tcp + ",addr.ipv4=on,addr.ipv6=off",
        "stream-inet6": tcp6,
        "stream-inet6-only": tcp6 + ",addr.ipv4=off,addr.ipv6=on",
        "stream-unix": unix,
        "stream-unix-abstract": unix + ",addr.abstract=on",
        "stream-unix-padded": unix + ",addr.abstract=on,addr.tight=off",
    }
    return {
        **{name: (f"stream,server=on,{address}",
                  f"stream,server=off,{address}")
           for name, address in servers_and_clients.items()},
        "stream-fd": ("stream,addr.type=fd,addr.str={a}",
                      "stream,addr.type=fd,addr.str={b}"),
        "socket-tcp": ("socket,listen=127.0.0.1:7701",
                       "socket,connect=127.0.0.1:7701"),
        "socket-fd": ("socket,fd={a}", "socket,fd={b}"),
        "socket-mcast": ("socket,mcast=230.0.0.1:7702",
                         "socket,mcast=230.0.0.1:7702,localaddr=127.0.0.1"),
        "socket-udp": ("socket,udp=127.0.0.1:7703,localaddr=127.0.0.1:7704",
                       "socket,udp=127.0.0.1:7704,localaddr=127.0.0.1:7703"),
        "dgram-inet": tuple(
            "dgram,local.type=inet,local.host=127.0.0.1,"
            f"local.port={local},remote.type=inet,"
            f"remote.host=127.0.0.1,remote.port={remote}"
            for local, remote in ((7705, 7706), (7706, 7705))),
        "dgram-mcast": (
            "dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=7707",
            "dgram,remote.type=inet,remote.host=230.0.0.1,remote.port=7707,"
            "local.type=inet,local.host=127.0.0.1,local.port=0"),
        "dgram-unix": tuple(
            f"dgram,local.type=unix,local.path={directory}/{local},"
            f"remote.type=unix,remote.path={directory}/{remote}"
            for local, remote in (("one", "other"), ("other", "one"))),
        "dgram-fd": ("dgram,local.type=fd,local.str={a}",
                     "dgram,local.type=fd,local.str={b}"),
    }  # type: ignore[dict-item]


NAMES = list(cases(Path()))
EVENTS = ("NETDEV_STREAM_CONNECTED", "NETDEV_STREAM_DISCONNECTED")


def arguments(netdev: str) -> Dict[str, Any]:
    """The arguments of netdev_add for options of -netdev."""
    kind, _, options = netdev.partition(",")
    found: Dict[str, Any] = {"type": kind}
    for option in options.split(","):
        name, _, text = option.partition("=")
        member, _, name_in_member = name.partition(".")
        value = {"on": True, "off": False}.get(text, text)
        if name_in_member:
            found.setdefault(member, {})[name_in_member] = value
        else:
            found[member] = value
    return found


class Couple:
    """Two programs with one end of a connection each."""

    def __init__(self, site: Site, ours: Tuple[bool, bool]) -> None:
        self.site = site
        self.host = site.host()
        self.host.enable_ipv6("lo")
        # Where there is no address but the loopback's, QEMU finds none if
        # a family is asked for.
        self.host.ip("route add 224.0.0.0/4 dev lo",
                     "addr add 10.99.0.1/32 dev lo",
                     "addr add fd00:99::1/128 dev lo")
        self.ours = ours

    def start(self, number: int, fd: int) -> Program:
        """One of them."""
        name = f"end{number}"
        if self.ours[number]:
            return self.site.daemon(self.host, name, pass_fds=[fd])
        return Qemu(name=name, host=self.host, directory=self.site.directory,
                    pass_fds=[fd])

    def listen(self, case: Case) -> List[Any]:
        """All that is said of a connection: before it stands, while it
        does, and when the second end has gone."""
        pair = socket.socketpair(
            socket.AF_UNIX, socket.SOCK_DGRAM if case[0].startswith("dgram")
            else socket.SOCK_STREAM)
        fds = [end.fileno() for end in pair]
        first, second = [self.start(number, fds[number])
                         for number in range(2)]
        for end in pair:
            end.close()
        with first, second:
            said = [add(first, case[0], fds)]
            if "server=on" in case[0] or "listen=" in case[0]:
                # QEMU begins to listen some time after the command.
                self.host.wait_listening(
                    ":7701" if "7701" in case[0] else "/link")
            said += [add(second, case[1], fds)]
            if case[0].startswith("stream"):
                for each in (first, second):
                    each.qmp.wait_event(EVENTS[0], GENEROUS)
            elif case[0].startswith("socket,listen"):
                wait_until(lambda: "type=socket," not in (
                    info(first), info(second)), "the connection")
            said += [info(first), info(second), heard(second)]
            second.stop()
            if case[0].startswith("stream"):
                first.qmp.wait_event(EVENTS[1], GENEROUS)
            if "stream" in case[0] or "listen" in case[0]:
                wait_until(lambda: info(first).endswith(","),
                           "the netdev to be without a peer")
            said += [info(first), heard(first)]
        return said


def add(program: Program, netdev: str, fds: List[int]) -> str:
    """Make a netdev; what is said of it before it can have a peer."""
    program.execute("netdev_add", id="net", **arguments(
        netdev.format(a=fds[0], b=fds[1])))
    return info(program) if "server=on" in netdev or "listen" in netdev \
        else ""


def info(program: Program) -> str:
    """What `info network` says, with one port for all that the system
    chose, and one descriptor for all."""
    return unchosen(program.info("net").replace("net: index=0,", ""))


def heard(program: Program) -> List[Tuple[str, Any]]:
    """The events so far."""
    return [(event.name, {
        key: unchosen(value) if isinstance(value, str) else
        {member: unchosen(inner) if isinstance(inner, str) else inner
         for member, inner in value.items()}
        for key, value in event.data.items()})
        for event in program.qmp.events() if event.name in EVENTS]


def unchosen(text: str) -> str:
    """A text without what differs from run to run."""
    text = re.sub(r"\b[3-6]\d{4}\b", "PORT", text)
    return re.sub(r"fd=\d+", "fd=N", text)


@pytest.mark.parametrize("name", NAMES)
def test_words(site: Site, name: str) -> None:
    """Whoever is at the other end, the words are QEMU's."""
    case = cases(site.directory)[name]
    theirs = Couple(site, (False, False)).listen(case)
    print("\n".join(map(str, theirs)))
    for ours in ((True, True), (True, False), (False, True)):
        assert Couple(site, ours).listen(case) == theirs, ours
