# SPDX-License-Identifier: BSD-2-Clause
"""The least that two programs have to do for it: tools/relay-*.c."""

from typing import Dict

from bench.programs import Started, own
from bench.stage import Stage, address

from .peer import Load, Peer


class Reference(Peer):
    """recvmmsg, framing, writev; read, parsing, sendmmsg."""

    def __init__(self, stage: Stage, load: Load, batch: int = 64) -> None:
        super().__init__(stage, load)
        self._batch = str(batch)
        self._account: Dict[str, int] = {}
        self._source: Started
        self._sink: Started

    def _program(self, name: str, *arguments: str) -> Started:
        vnet = ["vnet"] if self.load.offloaded else []
        program = Started(self.stage.host, self.directory, name,
                          [own(f"relay-{name}"), *arguments, self._batch,
                           *vnet])
        self.stack.enter_context(program)
        self.processes[name] = program.pid
        return program

    def start(self) -> None:
        where, _ = address(self.load.link, self.directory)
        self._sink = self._program("sink", where, "b0")
        self._source = self._program("source", "a0", where)
        self._source.wait_output("ready")

    def settle(self, sent: int) -> None:
        # The source goes on until its socket is empty, the sink until the
        # stream is.
        source = self._source.stop()
        sink = self._sink.result()
        self._account = {"seen": source["captured"] + source["dropped"],
                         "lost": source["dropped"] + sink["refused"],
                         "delivered": sink["injected"]}

    def finish(self) -> Dict[str, int]:
        return self._account
