# SPDX-License-Identifier: BSD-2-Clause
"""VMMs that have no monitor: what they do is told by words in a FIFO, by a
script or by the VMM itself."""

import json
import os
from typing import Any, Dict

from .site import Site
from .switchover import End, Switchover

# What a script says, and what Cloud Hypervisor says instead
# (its docs/event-monitor.md).
SCRIPT = {"stop": "stopped", "resume": "running"}
CLOUD_HYPERVISOR = {"stop": "vm.paused", "resume": "vm.resumed"}


def event(name: str, properties: Any = None) -> str:
    """An event of Cloud Hypervisor as it writes it."""
    source, what = name.split(".")
    return json.dumps({"timestamp": {"secs": 6, "nanos": 691500686},
                       "source": source, "event": what,
                       "properties": properties}, indent=2) + "\n\n"


class Words(Switchover):
    """Both ends beside such VMMs."""

    def __init__(self, site: Site, words: Dict[str, str],
                 **options: Any) -> None:
        super().__init__(site, follows_vm=False, **options)
        self.words = words
        for end in (self.source, self.destination):
            path = site.path(f"{end.name}.state")
            os.mkfifo(path)
            # The daemon makes them in the order in which it needs them.
            end.run_state = ["-object", "vm-lines,id=vm0,chardev=state",
                             "-chardev", f"pipe,id=state,path={path}"]

    def say(self, end: End, *words: str) -> None:
        """Say something beside one end, as whoever says it writes it."""
        text = "".join(event(word) if "." in word else word + "\n"
                       for word in words)
        self.write(end, text.encode())

    def write(self, end: End, data: bytes) -> None:
        """Write bytes, whatever they mean."""
        fifo = os.open(self.site.path(f"{end.name}.state"),
                       os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(fifo, data)
        finally:
            os.close(fifo)

    def stop_source(self) -> None:
        """The virtual machine stops at the source, and then it is said."""
        self.source.vmm.read(False)
        self.say(self.source, self.words["stop"])
        self.source.wait_phase("shipping")

    def resume_source(self) -> None:
        """The virtual machine goes on at the source."""
        self.source.vmm.read()
        self.say(self.source, self.words["resume"])

    def resume_destination(self) -> None:
        """The virtual machine runs at the destination."""
        self.destination.vmm.resume()
        self.say(self.destination, self.words["resume"])
