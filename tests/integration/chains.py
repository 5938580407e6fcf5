# SPDX-License-Identifier: BSD-2-Clause
"""A chain of filters with an open end on either side: the netdev n0 is wired
to a second one, so that the test is the network on the one side and the guest
on the other, and no namespace is needed."""

from pathlib import Path
from typing import Any, Dict, List

from lib.daemon import alone
from lib.waiting import wait_until
from lib.wire import Pair, Peer


class Chain:
    """A daemon with n0; `net` is its network, `guest` what it leads to."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        ends = {name: Pair() for name in ("n0", "n1")}
        self.net: Peer = ends["n0"].wire
        self.guest: Peer = ends["n1"].wire
        fds = [end.fd for end in ends.values()]
        self.daemon = alone(
            "-netdev", f"socket,id=n0,fd={fds[0]},peer=n1",
            "-netdev", f"socket,id=n1,fd={fds[1]}", "-D",
            str(directory / "log"), *arguments, pass_fds=fds)
        for end in ends.values():
            end.passed()

    def __enter__(self) -> "Chain":
        return self

    def __exit__(self, *error: Any) -> None:
        self.daemon.__exit__(*error)
        print("\n".join(self.lines("")))

    def chardev(self, name: str) -> Path:
        """Make a chardev that listens; its path."""
        path = self.directory / name
        self.daemon.execute("chardev-add", id=name, backend={
            "type": "socket", "data": {
                "server": True, "wait": False,
                "addr": {"type": "unix", "data": {"path": str(path)}}}})
        return path

    def peer(self, name: str) -> Peer:
        """Make a chardev, and be its peer once it has noticed."""
        wire = Peer.connect(self.chardev(name))
        self._wait_connected(name, True)
        return wire

    def wait_disconnected(self, name: str) -> None:
        """Wait until a chardev has noticed that its peer left."""
        self._wait_connected(name, False)

    def _wait_connected(self, name: str, connected: bool) -> None:
        wait_until(lambda: any(
            each["label"] == name and connected !=
            each["filename"].startswith("disconnected")
            for each in self.daemon.execute("query-chardev")),
            lambda: f"{name} is connected: {not connected}")

    def lines(self, word: str) -> List[str]:
        """The lines of the log that have this word."""
        text = (self.directory / "log").read_text(errors="replace")
        return [line for line in text.splitlines() if word in line]

    def add(self, kind: str, name: str, **properties: Any) -> None:
        """Make a filter on n0 (or on the netdev that is given)."""
        self.daemon.execute("object-add", qom_type=f"filter-{kind}", id=name,
                            **{"netdev": "n0", **properties})

    def delete(self, name: str) -> None:
        """Delete a filter."""
        self.daemon.execute("object-del", id=name)

    def set(self, name: str, prop: str, value: Any) -> None:
        """Set a property of an object."""
        self.daemon.execute("qom-set", path=f"/objects/{name}", property=prop,
                            value=value)

    def get(self, name: str, prop: str) -> Any:
        """A property of an object."""
        return self.daemon.execute("qom-get", path=f"/objects/{name}",
                                   property=prop)

    def stats(self) -> Dict[str, Dict[str, Any]]:
        """The statistics of all filters, in their order."""
        return {entry["name"]: entry for entry in
                self.daemon.execute("query-netfilter-stats")}

    def order(self) -> List[str]:
        """The filters of the chain, head first."""
        return list(self.stats())

    def counter(self, name: str, counter: str) -> int:
        """Packets of a counter."""
        return self.daemon.counter(name, counter)

    def wait(self, name: str, counter: str, value: int) -> None:
        """Wait until a counter has a value."""
        wait_until(lambda: self.counter(name, counter) == value,
                   lambda: f"{counter} of {name} is "
                           f"{self.counter(name, counter)}, not {value}")

    def pass_tx(self, *frames: bytes) -> None:
        """Frames that go from the network to the guest untouched."""
        self.net.send(*frames)
        assert [self.guest.receive_one() for _ in frames] == list(frames)

    def pass_rx(self, *frames: bytes) -> None:
        """Frames that go from the guest to the network untouched."""
        self.guest.send(*frames)
        assert [self.net.receive_one() for _ in frames] == list(frames)
