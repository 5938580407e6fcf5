# SPDX-License-Identifier: BSD-2-Clause
"""The kernel alone: nftables' fwd from one interface to another.  No process
and no copy; nothing that goes through a program can be faster."""

import subprocess

from bench.programs import needed

from .peer import Peer

_RULES = """
table netdev bench {
    chain in {
        type filter hook ingress device a1 priority 0;
        fwd to b0
    }
}
"""


class Kernel(Peer):
    """nft fwd at a1's ingress."""

    def start(self) -> None:
        self._nft("-f", "-", rules=_RULES)
        self.stack.callback(self._nft, "delete", "table", "netdev", "bench")

    def _nft(self, *arguments: str, rules: str = "") -> None:
        with self.stage.host.entered():
            subprocess.run([needed("nft"), *arguments], input=rules,
                           text=True, check=True, timeout=30)
