# SPDX-License-Identifier: BSD-2-Clause
"""The chain: where a filter stands in it, what it sees there, what changes
when a property is set, and what becomes of frames when it is taken away."""

import random
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from chains import Chain
from lib.daemon import QmpFailure
from lib.waiting import wait_until

LONG = 1000000000  # microseconds; no test waits for it


@pytest.fixture(name="chain")
def fixture_chain(tmp_path: Path) -> Iterator[Chain]:
    """A chain without filters; its daemon must end cleanly."""
    with Chain(tmp_path) as chain:
        yield chain


def frame(number: int, size: int = 60) -> bytes:
    """A frame that can be told from others."""
    return (number.to_bytes(4, "big") * size)[:size]


def frames(first: int, end: int) -> List[bytes]:
    """Several."""
    return [frame(number) for number in range(first, end)]


# Position

def test_positions(chain: Chain) -> None:
    """head, tail, before and behind another; the default is the tail."""
    for name, where in [
            ("b", {}), ("d", {"position": "tail"}), ("a", {"position": "head"}),
            ("c", {"position": "id=fd", "insert": "before"}),
            ("b2", {"position": "id=fb", "insert": "behind"}),
            ("c2", {"position": "id=fc"}),
            ("0", {"position": "id=fa", "insert": "before"}),
            ("e", {"position": "id=fd", "insert": "behind"}),
            # Used with id= alone.
            ("f", {"insert": "before"}),
            ("00", {"position": "head", "insert": "behind"})]:
        chain.add("buffer", f"f{name}", interval=LONG, **where)
    assert chain.order() == [f"f{name}" for name in (
        "00", "0", "a", "b", "b2", "c", "c2", "d", "e", "f")]
    text = chain.daemon.hmp("info network")
    assert [line.split(":")[0].strip(" -") for line in text.splitlines()
            if "type=filter" in line] == chain.order()


@pytest.mark.parametrize("position, text", [
    ("middle", "Parameter 'position' expects 'head', 'tail' or 'id=<id>'"),
    ("", "Parameter 'position' expects 'head', 'tail' or 'id=<id>'"),
    ("f0", "Parameter 'position' expects 'head', 'tail' or 'id=<id>'"),
    ("HEAD", "Parameter 'position' expects 'head', 'tail' or 'id=<id>'"),
    ("id=", "filter '' not found"),
    ("id=nosuch", "filter 'nosuch' not found"),
    ("id=f1", "filter 'f1' not found"),
    ("id=/objects/f0", "filter '/objects/f0' not found"),
    ("id=other", "filter 'other' belongs to a different netdev"),
    ("id=vm0", "filter 'vm0' not found"),
    ("id=c0", "filter 'c0' not found"),
    ("id=n0", "filter 'n0' not found"),
])
def test_position_refused(tmp_path: Path, position: str, text: str) -> None:
    """A filter of another netdev, itself, an object that is no filter, a
    chardev, a netdev, nothing; the name is free again and the chain as it
    was."""
    with Chain(tmp_path, "-object", "vm-qmp,id=vm0,addr=unix:/nosuch",
               "-chardev", "null,id=c0") as chain:
        chain.add("buffer", "f0", interval=LONG)
        chain.add("buffer", "other", netdev="n1", interval=LONG)
        with pytest.raises(QmpFailure) as failure:
            chain.add("mirror", "f1", outdev="c0", position=position)
        assert (failure.value.kind, failure.value.text) == \
            ("GenericError", text)
        assert chain.order() == ["f0", "other"]
        # The chardev was not taken.
        chain.add("mirror", "f1", outdev="c0", position="id=f0")


# What fails first is what is told: netdev, position, then the type's own.
ORDER: List[Any] = [
    ({"netdev": "nosuch", "position": "x", "outdev": "nosuch"},
     "GenericError", "Parameter 'netdev' expects a network backend id"),
    ({"position": "x", "outdev": "nosuch"}, "GenericError",
     "Parameter 'position' expects 'head', 'tail' or 'id=<id>'"),
    ({"position": "id=nosuch", "outdev": "nosuch"}, "GenericError",
     "filter 'nosuch' not found"),
    ({"outdev": "nosuch"}, "DeviceNotFound", "Device 'nosuch' not found"),
    ({"status": "x", "netdev": "nosuch", "outdev": "nosuch"}, "GenericError",
     "Invalid value for netfilter status, should be 'on' or 'off'"),
    ({"queue": "x", "status": "x"}, "GenericError",
     "Parameter 'queue' does not accept value 'x'"),
    ({"insert": "after", "netdev": "nosuch"}, "GenericError",
     "Parameter 'insert' does not accept value 'after'"),
    ({"netdev": "", "outdev": "c0"}, "GenericError",
     "Parameter 'netdev' expects a network backend id"),
    ({"netdev": "c0", "outdev": "c0"}, "GenericError",
     "Parameter 'netdev' expects a network backend id"),
    ({"status": True, "outdev": "c0"}, "GenericError",
     "Invalid parameter type for 'status', expected: string"),
    ({"status": "ON", "outdev": "c0"}, "GenericError",
     "Invalid value for netfilter status, should be 'on' or 'off'"),
    ({"position": None, "outdev": "c0"}, "GenericError",
     "Invalid parameter type for 'position', expected: string"),
    ({"vnet_hdr_support": "on", "outdev": "c0"}, "GenericError",
     "Invalid parameter type for 'vnet_hdr_support', expected: boolean"),
]


@pytest.mark.parametrize("kind", ["mirror", "redirector"])
@pytest.mark.parametrize("properties, error, text", ORDER)
def test_order_of_checks(chain: Chain, kind: str, properties: Dict[str, Any],
                         error: str, text: str) -> None:
    """The first failure wins, and none leaves a trace."""
    chain.chardev("c0")
    with pytest.raises(QmpFailure) as failure:
        chain.add(kind, "f0", **properties)
    said = failure.value.text
    if kind == "redirector" and error == "DeviceNotFound":
        said = said.replace("OUT ", "")
    assert (failure.value.kind, said) == (error, text)
    assert chain.order() == []
    chain.add(kind, "f0", outdev="c0")


# Direction and order

def test_tx_goes_down_and_rx_goes_up(chain: Chain) -> None:
    """A redirector in the middle takes frames: filters before it saw them,
    those behind did not; for rx it is the other way round."""
    chain.add("dump", "first", file="/dev/null")
    out = chain.peer("c0")
    chain.add("redirector", "middle", outdev="c0")
    chain.add("dump", "last", file="/dev/null")
    chain.net.send(frame(1))
    assert out.receive_one() == frame(1)
    chain.guest.send(frame(2), frame(3))
    assert [out.receive_one(), out.receive_one()] == [frame(2), frame(3)]
    seen = {name: (entry["packets-tx"], entry["packets-rx"])
            for name, entry in chain.stats().items()}
    assert seen == {"first": (1, 0), "middle": (1, 2), "last": (0, 2)}
    assert chain.guest.is_silent(0.1) and chain.net.is_silent(0.1)


@pytest.mark.parametrize("queue, expected", [
    ("tx", (3, 0)), ("rx", (0, 2)), ("all", (3, 2)), (None, (3, 2))])
@pytest.mark.parametrize("kind", ["mirror", "dump", "buffer", "redirector"])
def test_queue(chain: Chain, kind: str, queue: str, expected: Any) -> None:
    """Each filter sees its direction alone; bytes are counted with it."""
    chain.peer("c0")
    own = {"mirror": {"outdev": "c0"}, "dump": {"file": "/dev/null"},
           "buffer": {"interval": 1000}, "redirector": {"outdev": "c0"}}[kind]
    chain.add(kind, "f0", **own, **({"queue": queue} if queue else {}))
    assert chain.get("f0", "queue") == (queue or "all")
    chain.net.send(*frames(0, 3))
    chain.guest.send(*frames(3, 5))
    chain.wait("f0", "packets-tx", expected[0])
    chain.wait("f0", "packets-rx", expected[1])
    if kind != "redirector":
        assert [chain.guest.receive_one() for _ in range(3)] == frames(0, 3)
        assert [chain.net.receive_one() for _ in range(2)] == frames(3, 5)
    entry = chain.stats()["f0"]
    assert (entry["bytes-tx"], entry["bytes-rx"]) == \
        (60 * expected[0], 60 * expected[1])


# qom-set

def test_queue_acts_at_once(chain: Chain) -> None:
    """queue set by qom-set is the direction from then on."""
    copies = chain.peer("c0")
    chain.add("mirror", "m0", outdev="c0", queue="tx")
    for queue, tx, rx in (("rx", 0, 1), ("all", 1, 2), ("tx", 2, 2)):
        chain.set("m0", "queue", queue)
        assert chain.get("m0", "queue") == queue
        chain.pass_tx(frame(1))
        chain.pass_rx(frame(2))
        assert (chain.counter("m0", "packets-tx"),
                chain.counter("m0", "packets-rx")) == (tx, rx)
    assert [copies.receive_one() for _ in range(4)] == [
        frame(2), frame(1), frame(2), frame(1)]
    with pytest.raises(QmpFailure) as failure:
        chain.set("m0", "queue", "both")
    assert failure.value.kind == "GenericError"
    assert chain.get("m0", "queue") == "tx"


def test_queue_of_an_indev(chain: Chain) -> None:
    """The way of a frame from indev follows queue, too; all is both."""
    entry = chain.peer("c0")
    chain.add("redirector", "r0", indev="c0", queue="tx")
    entry.send(frame(1))
    assert chain.guest.receive_one() == frame(1)
    chain.set("r0", "queue", "rx")
    entry.send(frame(2))
    assert chain.net.receive_one() == frame(2)
    chain.set("r0", "queue", "all")
    entry.send(frame(3))
    assert chain.net.receive_one() == chain.guest.receive_one() == frame(3)
    assert chain.counter("r0", "indev") == 3
    assert chain.counter("r0", "packets-tx") == 0
    assert chain.guest.is_silent(0.1) and chain.net.is_silent(0.1)


def test_what_is_only_stored(chain: Chain) -> None:
    """netdev, position and insert set by qom-set are stored: the filter
    stays where it is, and what is told of it is where it is."""
    chain.add("dump", "f0", file="/dev/null")
    chain.add("dump", "f1", file="/dev/null")
    for prop, value in (("netdev", "n1"), ("netdev", "nosuch"),
                        ("position", "head"), ("position", "id=f0"),
                        ("insert", "before")):
        chain.set("f1", prop, value)
        assert chain.get("f1", prop) == value
    chain.pass_tx(frame(1))
    assert chain.order() == ["f0", "f1"]
    assert [entry["netdev"] for entry in chain.stats().values()] == \
        ["n0", "n0"]
    assert chain.counter("f1", "packets-tx") == 1
    assert "f1: netdev=n0 type=filter-dump" in \
        chain.daemon.hmp("info netfilter-stats")
    chain.delete("f1")
    with pytest.raises(QmpFailure):
        chain.set("f0", "insert", "after")
    assert chain.get("f0", "insert") == "behind"


def test_enable_when_stopped_acts_at_once(chain: Chain) -> None:
    """A stopped machine's frames wait, or do not, as it is set."""
    entry, out = chain.peer("c0"), chain.peer("c1")
    chain.add("redirector", "in", indev="c0", queue="tx")
    chain.add("redirector", "out", outdev="c1", queue="rx")
    chain.daemon.execute("stop")
    entry.send(frame(1))
    assert chain.guest.is_silent(0.2)
    chain.set("in", "enable_when_stopped", True)
    assert chain.guest.receive_one() == frame(1)
    chain.pass_rx(frame(2))
    chain.set("out", "enable_when_stopped", True)
    chain.guest.send(frame(3))
    assert out.receive_one() == frame(3)
    chain.set("in", "enable_when_stopped", False)
    entry.send(frame(4))
    assert chain.guest.is_silent(0.2)
    chain.daemon.execute("cont")
    assert chain.guest.receive_one() == frame(4)


@pytest.mark.parametrize("name, prop, value", [
    ("m0", "vnet_hdr_support", True), ("m0", "send-queue-size", 5),
    ("m0", "on-full", "block"), ("r0", "vnet_hdr_support", True),
    ("r0", "in_netdev", "n0"), ("r0", "capture", "all"),
    ("r0", "hold-size", 5), ("d0", "format", "pcapng"),
    ("d0", "rotate-size", 5)])
def test_what_stays(chain: Chain, name: str, prop: str, value: Any) -> None:
    """What can't be changed while it works is refused, not ignored."""
    chain.chardev("c0")
    chain.chardev("c1")
    chain.add("mirror", "m0", outdev="c0")
    chain.add("redirector", "r0", outdev="c1")
    chain.add("dump", "d0", file="/dev/null")
    before = chain.get(name, prop)
    with pytest.raises(QmpFailure) as failure:
        chain.set(name, prop, value)
    assert failure.value.kind == "GenericError"
    assert failure.value.text.endswith(f".{prop}' is not writable")
    assert chain.get(name, prop) == before


@pytest.mark.parametrize("kind", ["mirror", "dump", "buffer", "redirector"])
def test_status(chain: Chain, kind: str) -> None:
    """Off: frames pass by, uncounted; twice off is off; a bad word leaves
    what was."""
    chain.peer("c0")
    own = {"mirror": {"outdev": "c0"}, "dump": {"file": "/dev/null"},
           "buffer": {"interval": LONG}, "redirector": {"outdev": "c0"}}[kind]
    chain.add(kind, "f0", status="off", **own)
    for _ in range(2):
        chain.set("f0", "status", "off")
        chain.pass_tx(*frames(0, 5))
        chain.pass_rx(*frames(5, 9))
        with pytest.raises(QmpFailure) as failure:
            chain.set("f0", "status", "maybe")
        assert failure.value.kind == "GenericError"
        assert chain.get("f0", "status") == "off"
    assert chain.counter("f0", "packets-tx") == 0
    assert chain.counter("f0", "packets-rx") == 0
    chain.set("f0", "status", "on")
    chain.net.send(frame(9))
    chain.wait("f0", "packets-tx", 1)


def test_defaults(chain: Chain) -> None:
    """What is not given is what the table says, through QMP as well."""
    chain.chardev("c0")
    chain.chardev("c1")
    chain.add("mirror", "m0", outdev="c0")
    chain.add("redirector", "r0", outdev="c1")
    chain.add("buffer", "b0", interval=1)
    chain.add("dump", "d0", file="/dev/null")
    for name in ("m0", "r0", "b0", "d0"):
        assert {prop: chain.get(name, prop) for prop in (
            "netdev", "queue", "status", "position", "insert", "bpf")} == {
                "netdev": "n0", "queue": "all", "status": "on",
                "position": "tail", "insert": "behind", "bpf": ""}
    assert [chain.get(name, "vnet_hdr_support") for name in ("m0", "r0")] == \
        [False, False]
    assert chain.get("m0", "send-queue-size") == 64 << 20
    assert chain.get("m0", "on-full") == "drop-newest"
    assert {prop: chain.get("r0", prop) for prop in (
        "indev", "in_netdev", "out_netdev", "enable_when_stopped", "capture",
        "arm", "overlap", "hold-size", "send-queue-size")} == {
            "indev": "", "in_netdev": "", "out_netdev": "",
            "enable_when_stopped": False, "capture": "all", "arm": "auto",
            "overlap": "auto", "hold-size": 64 << 20,
            "send-queue-size": 64 << 20}
    assert {prop: chain.get("d0", prop) for prop in (
        "maxlen", "format", "rotate-size", "rotate-interval",
        "rotate-keep")} == {
            "maxlen": 65536, "format": "pcap", "rotate-size": 0,
            "rotate-interval": 0, "rotate-keep": 8}


# Buffers in a chain

def test_reentry_behind_a_buffer(chain: Chain) -> None:
    """What a buffer lets go passes the filters behind it, in its own
    direction, and none of those before it a second time."""
    chain.add("dump", "d0", file="/dev/null")
    chain.add("buffer", "b0", interval=LONG)
    chain.add("dump", "d1", file="/dev/null")
    chain.net.send(*frames(0, 100))
    chain.guest.send(*frames(100, 250))
    chain.wait("b0", "packets-tx", 100)
    chain.wait("b0", "packets-rx", 150)
    seen = {name: (entry["packets-tx"], entry["packets-rx"])
            for name, entry in chain.stats().items()}
    assert seen == {"d0": (100, 0), "b0": (100, 150), "d1": (0, 150)}
    assert chain.guest.is_silent(0.1) and chain.net.is_silent(0.1)
    chain.set("b0", "status", "off")
    assert [chain.guest.receive_one() for _ in range(100)] == frames(0, 100)
    assert [chain.net.receive_one() for _ in range(150)] == frames(100, 250)
    seen = {name: (entry["packets-tx"], entry["packets-rx"])
            for name, entry in chain.stats().items()}
    assert seen == {"d0": (100, 150), "b0": (100, 150), "d1": (100, 150)}


def test_buffers_in_a_row(chain: Chain) -> None:
    """From one buffer into the next; order is kept all the way."""
    for name in ("b0", "b1", "b2"):
        chain.add("buffer", name, interval=LONG)
    chain.net.send(*frames(0, 1000))
    chain.wait("b0", "packets-tx", 1000)
    chain.set("b0", "interval", 1)
    chain.wait("b1", "packets-tx", 1000)
    chain.net.send(*frames(1000, 1010))
    chain.wait("b1", "packets-tx", 1010)
    chain.delete("b1")
    chain.wait("b2", "packets-tx", 1010)
    chain.set("b2", "status", "off")
    assert [chain.guest.receive_one() for _ in range(1010)] == frames(0, 1010)


def test_buffer_is_bounded(chain: Chain) -> None:
    """10,000 frames, no more; the rest is counted; the oldest stay."""
    chain.add("buffer", "b0", queue="tx", interval=LONG)
    for first in range(0, 12000, 1000):
        chain.net.send(*frames(first, first + 1000))
    chain.wait("b0", "packets-tx", 12000)
    assert chain.counter("b0", "dropped-queue-full") == 2000
    got: List[bytes] = []
    chain.set("b0", "status", "off")
    while len(got) < 10000:
        got.append(chain.guest.receive_one())
    assert got == frames(0, 10000)
    assert chain.guest.is_silent(0.1)


def test_buffer_status_twice(chain: Chain) -> None:
    """Off releases and lets pass, on begins with a whole interval."""
    chain.add("buffer", "b0", queue="tx", interval=LONG, status="off")
    chain.pass_tx(frame(0))
    chain.set("b0", "status", "on")
    chain.net.send(*frames(1, 4))
    chain.wait("b0", "packets-tx", 3)
    assert chain.guest.is_silent(0.1)
    chain.set("b0", "interval", 1000)
    assert [chain.guest.receive_one() for _ in range(3)] == frames(1, 4)
    # Set while it is off it counts from the moment when it is on.
    chain.set("b0", "status", "off")
    chain.set("b0", "interval", LONG)
    chain.pass_tx(frame(4))
    chain.set("b0", "status", "on")
    chain.net.send(frame(5))
    chain.wait("b0", "packets-tx", 4)
    assert chain.guest.is_silent(0.1)


def test_netdev_del_flushes_its_buffers(chain: Chain) -> None:
    """Head first, so that what a buffer lets go still passes the filters
    behind it; ids are free again, for the netdev and for each filter."""
    chain.add("dump", "d0", file="/dev/null")
    chain.add("buffer", "b0", queue="tx", interval=LONG)
    chain.add("buffer", "b1", queue="tx", interval=LONG,
              bpf="ether[3] = 7")
    copies = chain.peer("c0")
    chain.add("mirror", "m0", outdev="c0")
    chain.net.send(*frames(0, 20))
    chain.wait("b0", "packets-tx", 20)
    chain.daemon.execute("netdev_del", id="n0")
    released = [each for each in frames(0, 20) if each != frame(7)] + \
        [frame(7)]
    assert [chain.guest.receive_one() for _ in range(20)] == released
    assert [copies.receive_one() for _ in range(20)] == released
    assert chain.order() == []
    for name in ("d0", "b0", "b1", "m0"):
        with pytest.raises(QmpFailure) as failure:
            chain.delete(name)
        assert failure.value.kind == "GenericError"
    chain.daemon.execute("netdev_add", type="stream", id="n0", server=True,
                         addr={"type": "unix",
                               "path": str(chain.directory / "n0")})
    chain.daemon.execute("chardev-remove", id="c0")
    chain.chardev("c0")
    chain.add("mirror", "m0", outdev="c0")
    chain.add("buffer", "b0", interval=LONG, position="id=m0",
              insert="before")
    assert chain.order() == ["b0", "m0"]


@pytest.mark.parametrize("seed", range(3))
def test_random_chains(chain: Chain, seed: int) -> None:
    """However filters are placed and removed: the chain is the list that it
    should be, and a frame passes it whole."""
    dice = random.Random(seed)
    model: List[str] = []
    number = 0
    for step in range(150):
        if model and dice.random() < 0.4:
            chain.delete(model.pop(dice.randrange(len(model))))
        else:
            name = f"f{step}"
            where = dice.choice(["head", "tail", "before", "behind"])
            at = dice.randrange(len(model)) if model else 0
            if where in ("head", "tail") or not model:
                at = 0 if where == "head" else len(model)
                properties = {"position": "head" if where == "head"
                              else "tail"}
            else:
                properties = {"position": f"id={model[at]}", "insert": where}
                at += where == "behind"
            model.insert(at, name)
            chain.add("dump", name, file="/dev/null",
                      queue=dice.choice(["tx", "rx", "all"]), **properties)
        number += 1
        (chain.pass_tx if dice.random() < 0.5 else chain.pass_rx)(
            frame(number))
    assert chain.order() == model
