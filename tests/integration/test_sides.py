# SPDX-License-Identifier: BSD-2-Clause
"""`tapferry source` and `tapferry destination`: one command on each host
around a migration."""

import json
import socket
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import List, Tuple
from xml.etree import ElementTree

import pytest

from lib.certificates import Authority
from lib.command import RUN_DIR, Command, run_tapferry
from lib.frames import number_of, numbered_range
from lib.relay import Relay
from lib.site import Site
from lib.switchover import (CALIBRATION_ROUNDS, DESTINATION_ADDRESS, PORT,
                            TAP, Destination, Source, join)
from lib.waiting import wait_until
from lib.wire import Peer

ADDRESS = f"{DESTINATION_ADDRESS}:{PORT}"


class World:
    """Two hosts, a VMM on each, and the commands."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.source = Source(site)
        self.destination = Destination(site)
        for end in (self.source, self.destination):
            end.serve()
        join(self.source, self.destination)
        self.commands: List[Command] = []

    def start_source(self, *options: str) -> Command:
        """The command at the old host."""
        return self._start(self.source, "--to", ADDRESS, "--quiet-time",
                           "0.3", *options)

    def start_destination(self, *options: str) -> Command:
        """The command at the new host."""
        return self._start(self.destination, "--listen", ADDRESS,
                           *options)

    def _start(self, end: Source | Destination, *options: str) -> Command:
        command = Command(
            self.site, end.host, end.name, "--tap", TAP, "--vm",
            f"unix:{end.monitor}", "--report",
            str(self.site.directory / f"{end.name}.json"), *options)
        self.commands.append(command)
        return command

    def wait_ready(self) -> None:
        """Wait until all say that the VM may migrate."""
        for command in self.commands:
            command.wait_said("ready; migrate the VM")

    def run_frame(self) -> None:
        """The guest gets a frame at the old host."""
        first, self.source.next = self.source.next, self.source.next + 1
        self.send(first, self.source.next)
        self.source.vmm.wait_count(self.source.next)
        self.command("source").wait_counter("delivered", self.source.next)

    def send(self, first: int, end: int) -> None:
        """The network sends numbered frames to the old host."""
        self.source.host.sender(TAP).send(numbered_range(first, end))

    def begin(self) -> None:
        """The migration begins; it is learned what the guest gets."""
        self.source.vmm.migration("active")
        self.command("source").wait_migration("active")
        self.source.vmm.read()
        for _ in range(CALIBRATION_ROUNDS):
            self.run_frame()
        self.command("source").wait_exact()

    def stop(self, late: int = 10) -> int:
        """The VM stops, more frames come.  Returns the first of them."""
        self.source.vmm.stop()
        first, self.source.next = self.source.next, self.source.next + late
        self.send(first, self.source.next)
        return first

    def command(self, name: str) -> Command:
        """The command of that name."""
        return next(each for each in self.commands if each.name == name)


@pytest.fixture(name="world")
def fixture_world(site: Site) -> World:
    """Two hosts."""
    return World(site)


class Page(HTMLParser):
    """A page: is every element closed, and is anything fetched?"""

    VOID = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: List[str] = []
        self.seen: List[str] = []
        self.fetched: List[Tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str,
                        attrs: List[Tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [(tag, name) for name, _ in attrs
                         if name in ("src", "href", "srcset", "data")]

    def handle_startendtag(self, tag: str,
                           attrs: List[Tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(path: Path, balances: int) -> str:
    """A page is well-formed and needs nothing else; returns it."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and page.fetched == []
    assert "svg" in page.seen and "script" not in page.seen
    for word in ("http:", "https:", "url(", "@import", "{{", "}}"):
        assert word not in text
    svg = text[text.index("<svg"):text.index("</svg>") + 6]
    tree = ElementTree.fromstring(svg)
    assert len(list(tree.iter("path"))) >= 1
    assert text.count("The ledger balances") == balances
    return text


@pytest.mark.parametrize("first", ["source", "destination"])
def test_migration(world: World, first: str) -> None:
    """Either may be started first; nothing is lost, and the report of both
    says so."""
    starts = [world.start_source, world.start_destination]
    if first == "destination":
        starts.reverse()
    starts[0]()
    world.commands[0].wait_said("waiting for the")
    starts[1]()
    world.commands.sort(key=lambda each: each.name, reverse=True)
    source, destination = world.commands
    world.wait_ready()
    world.begin()
    before = world.stop()
    destination.wait_said("holding until the VM runs")
    world.source.vmm.migration("completed")
    world.destination.resume()
    world.destination.vmm.wait_count(10)
    assert (source.wait(), destination.wait()) == (0, 0)
    assert world.destination.vmm.numbers() == \
        list(range(before, world.source.next))
    assert "Nothing was lost: 10 frames were shipped" in source.output
    assert "Nothing was lost: 10 frames were carried" in destination.output

    directory = world.site.directory
    done = run_tapferry(world.source.host, "report", str(source.report_path),
                        str(destination.report_path), "--json", "--html",
                        str(directory / "both.html"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"]["ok"] is True
    assert report["downtime-us"] > 0
    assert [side["side"] for side in report["sides"]] == ["source",
                                                          "destination"]
    assert [gap["kind"] for gap in report["gaps"]] == ["other"]
    assert report["gaps"][0]["gap-us"] > 0
    check_page(directory / "both.html", balances=2)


def test_vmm_ends_early(world: World) -> None:
    """Frames come when the old VMM is gone already: the verdict waits for
    them."""
    source = world.start_source("--quiet-time", "1.5")
    destination = world.start_destination()
    world.wait_ready()
    world.begin()
    first = world.stop()
    world.destination.resume()
    world.source.vmm.kill()
    source.wait_said("the VM has moved")
    world.send(world.source.next, world.source.next + 10)
    assert (source.wait(), destination.wait()) == (0, 0)
    assert world.destination.vmm.numbers()[-20:] == \
        list(range(first, first + 20))
    assert "Nothing was lost" in source.output


def test_tls(world: World) -> None:
    """--tls-creds-dir on both sides: the same over TLS."""
    authority = Authority(world.site.directory / "authority")
    names = (f"ip_address = {DESTINATION_ADDRESS}",)
    server = authority.issue(world.site.directory / "server", "server", names)
    client = authority.issue(world.site.directory / "client", "client")
    source = world.start_source("--tls-creds-dir", str(client))
    destination = world.start_destination("--tls-creds-dir", str(server))
    world.wait_ready()
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.source.vmm.migration("completed")
    world.destination.resume()
    assert (source.wait(), destination.wait()) == (0, 0)


def test_tls_without_certificates(world: World) -> None:
    """One line says what is missing."""
    assert "/nosuch" in refusal(
        world, "source", "--tls-creds-dir", "/nosuch",
        *vm_options(world, "source"))


def test_details(world: World) -> None:
    """What query-switchover tells adds up."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.source.vmm.migration("completed")
    world.destination.resume()
    assert (source.wait(), destination.wait()) == (0, 0)
    here = source.report()["sides"][0]["switchover"]
    there = destination.report()["sides"][0]["switchover"]
    assert here["ledger"]["balances"] and there["ledger"]["balances"]
    assert [each["phase"] for each in here["phases"]] == ["armed", "shipping"]
    assert [each["phase"] for each in there["phases"]] == \
        ["holding", "releasing", "passing"]
    times = [each["start-us"] for each in there["phases"]]
    assert times == sorted(times)
    series = here["timeline"]["series"]
    assert sum(series["captured"]) == CALIBRATION_ROUNDS + 10
    assert sum(series["shipped"]) == 10
    series = there["timeline"]["series"]
    assert sum(series["received"]) == sum(series["injected"]) == 10
    assert max(series["waiting"]) == there["held-packets-most"] == 10
    assert there["held-packets"] == there["waits"]["packets"] == 10
    assert sum(each["packets"] for each in there["waits"]["histogram"]) == 10
    flow, = here["flows"]
    assert flow["last-before-us"] <= here["stop-us"]
    flow, = there["flows"]
    assert flow["first-us"] >= there["resume-us"]


def test_nothing_to_ship(world: World) -> None:
    """A migration while no frame came is one, too."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    world.begin()
    world.stop(late=0)
    world.source.vmm.migration("completed")
    world.destination.resume()
    assert (source.wait(), destination.wait()) == (0, 0)
    assert "0 frames were shipped" in source.output


def test_cancelled(world: World) -> None:
    """The VM stays: nothing is lost, both say what happened."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.source.vmm.migration("cancelled")
    world.source.vmm.resume()
    world.destination.vmm.kill()
    assert (source.wait(), destination.wait()) == (0, 0)
    assert "The migration was cancelled. Nothing was lost" in source.output
    assert "The migration was cancelled: the VM never ran here" in \
        destination.output
    assert source.report()["sides"][0]["outcome"] == "cancelled"
    world.source.vmm.wait_count(world.source.next)
    assert world.source.vmm.numbers() == list(range(world.source.next))


def test_cancelled_before_the_stop(world: World) -> None:
    """Nothing had to be shipped."""
    source = world.start_source()
    world.start_destination()
    world.wait_ready()
    world.begin()
    world.source.vmm.migration("cancelled")
    assert source.wait() == 0
    assert "cancelled" in source.output


def test_stopped_and_let_go_on(world: World) -> None:
    """That is no migration: it waits for one."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    world.source.vmm.stop()
    source.wait_said("the VM has stopped; shipping")
    world.source.vmm.resume()
    source.wait_said_again("ready; migrate the VM")
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.source.vmm.migration("completed")
    world.destination.resume()
    assert (source.wait(), destination.wait()) == (0, 0)


def test_vmm_ends_before_it_says_completed(world: World) -> None:
    """As one does whose manager is quick."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.source.vmm.kill()
    world.destination.resume()
    assert (source.wait(), destination.wait()) == (0, 0)


def test_vm_ends_and_never_moved(world: World) -> None:
    """That is no success."""
    source = world.start_source()
    world.start_destination()
    world.wait_ready()
    world.source.vmm.kill()
    assert source.wait() == 1
    assert source.last_line == "tapferry: the VM ended and did not move"


def test_link_never_up(world: World) -> None:
    """What could not be shipped is said."""
    source = world.start_source("--max-wait", "0.5")
    source.wait_said("waiting for the destination")
    world.begin()
    world.stop()
    source.wait_said("the VM has stopped; waiting for the destination")
    source.wait_counter("queued", 10)
    world.source.vmm.migration("completed")
    assert source.wait() == 1
    assert source.last_line == ("tapferry: 10 frames were left at the "
                                "source: the destination did not take them")
    assert source.report()["sides"][0]["outcome"] == "unfinished"


def test_source_never_comes(world: World) -> None:
    """A destination says that nobody told it what the VM missed."""
    destination = world.start_destination("--quiet-time", "0.3")
    destination.wait_said("waiting for the source")
    world.destination.resume()
    assert destination.wait() == 1
    assert "the source never connected" in destination.last_line


def test_interrupted(world: World) -> None:
    """Ctrl-C ends it cleanly, and what is left is said."""
    source = world.start_source()
    source.wait_said("waiting for the destination")
    world.begin()
    world.stop()
    source.wait_counter("queued", 10)
    source.interrupt()
    assert source.wait() == 1
    assert source.last_line == \
        "tapferry: interrupted: 10 frames were left at the source"
    assert source.report()["verdict"]["ok"] is False


def test_interrupted_before_anything(world: World) -> None:
    """Likewise."""
    destination = world.start_destination()
    destination.wait_said("waiting for the source")
    destination.interrupt()
    assert destination.wait() == 1
    assert "interrupted: nothing was left" in destination.last_line


def test_killed_and_swept(world: World) -> None:
    """The daemon of a killed one ends by itself; the next one sweeps up."""
    source = world.start_source()
    source.wait_said("waiting for the destination")
    source.kill()
    left = source.left_behind()
    assert len(left) == 1
    other = world.start_destination()
    other.wait_said("waiting for the source")
    assert not source.left_behind()
    assert RUN_DIR.exists()


def test_json(world: World) -> None:
    """--json prints the report as JSON, --quiet nothing else."""
    source = world.start_source("--json", "--quiet", "--max-wait", "0.3")
    source.wait_counter("in_netdev", 0)
    world.begin()
    world.stop()
    source.wait_counter("queued", 10)
    world.source.vmm.migration("completed")
    assert source.wait() == 1
    assert json.loads(source.output)["verdict"]["ok"] is False
    assert source.errors.count("\n") == 1


def test_link_cut(world: World) -> None:
    """The link is down for longer than a destination waits for a source
    that has gone: both wait for each other, and nothing is lost."""
    front = "127.0.0.1", PORT + 1
    relay = Relay(front, (DESTINATION_ADDRESS, PORT), world.source.host)
    world.site.on_exit(relay.close)
    source = world.start_source("--to", f"{front[0]}:{front[1]}")
    destination = world.start_destination()
    world.wait_ready()
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.destination.resume()
    destination.wait_counter("out_netdev", 10)
    relay.cut()
    world.source.vmm.migration("completed")
    world.send(world.source.next, world.source.next + 5)
    time.sleep(1.5)
    relay.restore()
    assert (source.wait(), destination.wait()) == (0, 0)
    report = json.loads((world.site.directory / "source.json").read_text())
    assert report["sides"][0]["switchover"]["link"] == {"acknowledged": True, "unconfirmed": 0, "repeated": 0,
                    "lost": 0, "vanished": 0, "found": 0}
    assert world.destination.vmm.count() == 15


def test_plain_receiver(world: World) -> None:
    """Somebody who takes frames and says nothing will do; the verdict says
    that nothing is confirmed."""
    with world.destination.host.entered():
        listener = socket.create_server((DESTINATION_ADDRESS, PORT))
    world.site.on_exit(listener.close)
    source = world.start_source()
    peer = Peer(listener.accept()[0])
    world.site.on_exit(peer.close)
    world.wait_ready()
    world.begin()
    first = world.stop()
    assert [number_of(frame) for frame in peer.receive(10)] == \
        list(range(first, first + 10))
    world.source.vmm.migration("completed")
    assert source.wait() == 0
    assert "does not confirm what it got" in source.output


def test_report_of_daemons(world: World) -> None:
    """tapferry report asks one daemon, or both."""
    source, destination = world.start_source(), world.start_destination()
    world.wait_ready()
    done = run_tapferry(world.source.host, "--socket", source.socket,
                        "report")
    assert done.returncode == 1
    assert "there was no switchover yet" in done.stderr
    world.begin()
    world.stop()
    destination.wait_counter("held", 10)
    world.destination.resume()
    destination.wait_counter("out_netdev", 10)
    done = run_tapferry(world.source.host, "--socket", source.socket,
                        "report", "--peer-socket", destination.socket)
    assert done.returncode == 0
    assert "The VM stood still for" in done.stdout
    assert done.stdout.count("The ledger balances") == 2
    world.source.vmm.migration("completed")
    assert (source.wait(), destination.wait()) == (0, 0)


def refusal(world: World, side: str, *options: str) -> str:
    """Why a command does not begin: one line, and an exit status."""
    end = world.source if side == "source" else world.destination
    done = run_tapferry(end.host, side, *options)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("tapferry: ")
    return done.stderr[len("tapferry: "):-1]


def vm_options(world: World, side: str, tap: str = TAP) -> List[str]:
    """Of a side that is ready."""
    end = world.source if side == "source" else world.destination
    return ["--tap", tap, "--vm", end.monitor,
            "--to" if side == "source" else "--listen", ADDRESS]


@pytest.mark.parametrize("options, words", [
    ([], "give --tap IF --vm ADDR --to HOST:PORT"),
    (["--tap", "t", "--vm", "v", "--to", "h"], "'h' is no address"),
    (["--tap", "t", "--vm", "v", "--to", ":1"], "give HOST:PORT"),
    (["--tap", "t", "--vm", "v", "--to", "h:0"], "1 to 65535"),
    (["--tap", "t", "--vm", "/nosuch", "--to", "h:1"],
     "no VM answers at unix:/nosuch"),
    (["--tap", "t", "--vm", "x:y:z", "--to", "h:1"], "give unix:PATH"),
    (["--quiet-time", "-1", "--tap", "t", "--vm", "v", "--to", "h:1"],
     "--quiet-time"),
    (["--report", "/nosuch/x", "--tap", "t", "--vm", "v", "--to", "h:1"],
     "the report can not be written to /nosuch/x"),
    (["word"], "'word' is one word too many")])
def test_bad_options(site: Site, options: List[str], words: str) -> None:
    """Said before anything is begun."""
    done = run_tapferry(site.host(), "source", *options)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_tap_is_missing(world: World) -> None:
    """The daemon knows best."""
    assert "there is no interface 'nosuch'" in refusal(
        world, "source", *vm_options(world, "source", "nosuch"))


def test_port_in_use(world: World) -> None:
    """Somebody else listens there."""
    with world.destination.host.entered(), socket.socket() as other:
        other.bind((DESTINATION_ADDRESS, PORT))
        other.listen()
        assert refusal(world, "destination",
                       *vm_options(world, "destination")) == (
            f"{ADDRESS} is in use already: give --listen another port, or "
            "end what listens there")


def test_vm_in_the_wrong_state(world: World) -> None:
    """Stopped where it is to leave, or running where it is to come."""
    world.source.vmm.set_status("paused")
    assert "does not run (paused)" in refusal(
        world, "source", *vm_options(world, "source"))
    world.destination.vmm.set_status("running")
    assert "runs already" in refusal(
        world, "destination", *vm_options(world, "destination"))


@pytest.mark.parametrize("status", ["finish-migrate", "postmigrate"])
def test_vm_has_stopped_in_a_migration(world: World, status: str) -> None:
    """The command may be the second one: the first was killed."""
    world.source.vmm.stop()
    world.source.vmm.set_status(status)
    command = world.start_source()
    wait_until(lambda: "the VM has stopped" in command.errors,
               lambda: command.errors)


def test_monitor_is_busy(world: World) -> None:
    """A QEMU's monitor serves one client: another one waits for ever."""
    path = world.site.path("busy")
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.bind(path)
        monitor.listen()
        assert "is busy: a monitor serves one client" in refusal(
            world, "source", "--tap", TAP, "--vm", path, "--to", ADDRESS)


def test_mirror_to_a_file(site: Site) -> None:
    """Every frame that the expression matches, in both directions."""
    host = site.host()
    vmm = site.guest(host, TAP)
    path = site.directory / "copy.pcapng"
    command = Command(site, host, "mirror", "--tap", TAP, "--write",
                      str(path), "--bpf", "ether[6] = 2 or ether[6] = 4")
    command.wait_said("copying")
    host.sender(TAP).send(numbered_range(0, 5))
    vmm.read()
    vmm.wait_count(5)
    command.wait_counter("packets-tx", 5)
    command.interrupt()
    assert command.wait() == 0
    assert command.output == "5 frames copied, 0 dropped\n"
    assert path.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_mirror_to_a_peer(site: Site) -> None:
    """Each frame behind its length."""
    host = site.host()
    site.guest(host, TAP).read()
    with host.entered(), socket.socket() as peer:
        peer.bind(("127.0.0.1", PORT))
        peer.listen()
        peer.settimeout(20)
        command = Command(site, host, "mirror", "--tap", TAP, "--to",
                          f"127.0.0.1:{PORT}")
        connection, _ = peer.accept()
        with connection:
            command.wait_said("copying")
            frame, = numbered_range(7, 8)
            host.sender(TAP).send([frame])
            stream = connection.makefile("rb")
            assert stream.read(4 + len(frame)) == \
                len(frame).to_bytes(4, "big") + frame
            command.interrupt()
            assert command.wait() == 0


@pytest.mark.parametrize("options", [
    [], ["--tap", "t"], ["--tap", "t", "--to", "h:1", "--write", "f"],
    ["--to", "h:1"], ["--tap", "t", "--to", "h"],
    ["--tap", "t", "--write", "/nosuch/f"]])
def test_mirror_refuses(site: Site, options: List[str]) -> None:
    """One line, and an exit status."""
    done = run_tapferry(site.host(), "mirror", *options)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
