# SPDX-License-Identifier: BSD-2-Clause
"""socat from one interface to the other: what a shell has at hand.  It looks
at what comes in, so it stands at the cable's other end."""

from bench.programs import Started, needed

from .peer import Peer


class Socat(Peer):
    """One process, no stream."""

    def start(self) -> None:
        program = Started(self.stage.host, self.directory, "socat", [
            needed("socat"), "-u", "-d", "-d", "INTERFACE:a1",
            "INTERFACE:b0"])
        self.stack.enter_context(program)
        program.wait_log("starting data transfer loop")
        self.processes["relay"] = program.pid
