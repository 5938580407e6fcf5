# SPDX-License-Identifier: BSD-2-Clause
"""tcpdump into a pipe, tcpreplay out of it."""

import os
import time

from bench.programs import Started, needed

from .peer import Peer

_SETTLE_S = 0.3  # tcpreplay says nothing when it is ready


class Tcpreplay(Peer):
    """Capture files as the stream."""

    def start(self) -> None:
        pipe = str(self.directory / "pipe")
        os.mkfifo(pipe)
        sink = Started(self.stage.host, self.directory, "sink", [
            needed("tcpreplay"), "-q", "--topspeed", "-i", "b0", pipe])
        self.stack.enter_context(sink)
        source = Started(self.stage.host, self.directory, "source", [
            needed("tcpdump"), "-n", "-U", "-B", "4096", "-i", "a1",
            "-w", pipe])
        self.stack.enter_context(source)
        source.wait_log("listening on")
        time.sleep(_SETTLE_S)
        sink.check()
        self.processes.update(source=source.pid, sink=sink.pid)
