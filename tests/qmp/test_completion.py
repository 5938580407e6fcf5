# SPDX-License-Identifier: BSD-2-Clause
"""The human monitor as a person at a terminal has it."""

import os
import pty
import select
import subprocess
import termios
from typing import Iterator

import pytest

from lib.peer import tapferryd

PROMPT = "(tapferry) "


class Terminal:
    """A daemon whose monitor is a terminal."""

    def __init__(self, *argv: str) -> None:
        self.fd, slave = pty.openpty()
        self.cooked = termios.tcgetattr(slave)
        self.slave = slave
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [tapferryd(), "-monitor", "stdio", *argv], stdin=slave,
            stdout=slave, stderr=slave)
        self.seen = ""
        self.until(PROMPT)

    def until(self, text: str) -> str:
        """Takes what has come up to the end of @text, and waits for it."""
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], 30)
            assert ready, f"no {text!r} in {self.seen!r}"
            self.seen += os.read(self.fd, 4096).decode()
        head, self.seen = self.seen.split(text, 1)
        return head + text

    def type(self, keys: str, text: str) -> str:
        """Types key by key; all up to @text."""
        for key in keys:
            os.write(self.fd, key.encode())
        return self.until(text)

    def close(self) -> None:
        """Ends the daemon; the terminal is as it was."""
        self.type("quit\r", "quit")
        assert self.process.wait(30) == 0
        assert termios.tcgetattr(self.slave) == self.cooked
        os.close(self.slave)
        os.close(self.fd)


@pytest.fixture(name="terminal")
def fixture_terminal() -> Iterator[Terminal]:
    """One with two chardevs and a netdev."""
    terminal = Terminal("-chardev", "null,id=c0", "-chardev", "null,id=c1",
                        "-netdev", "dgram,id=net0,local.type=inet,"
                        "local.host=127.0.0.1,local.port=0,"
                        "remote.type=inet,remote.host=127.0.0.1,"
                        "remote.port=1")
    yield terminal
    terminal.close()


@pytest.mark.parametrize("keys, text", [
    ("inf\t", "info "),
    ("info netf\t", "info netfilter-stats "),
    ("info net\t\t", "network"),
    ("help info sw\t", "help info switchover "),
    ("chardev-remove \t\t", "compat_monitor0"),
    ("netdev_del n\t", "netdev_del net0 "),
    ("object_add filter-m\t", "object_add filter-mirror"),
    ("object_add filter-mirror,id=f,outd\t", "outdev="),
    ("object_add filter-mirror,queue=r\t", "queue=rx"),
    ("object_add filter-mirror,vnet_\to\t\t", "vnet_hdr_support=off"),
    ("qom-get /ch\t\t", "/chardevs/c1"),
    ("qom-list /netdevs/n\t", "/netdevs/net0 "),
    ("qom-get net0 \t\t", "local.host"),
])
def test_tab(terminal: Terminal, keys: str, text: str) -> None:
    """TAB completes from the tables."""
    terminal.type(keys, text)
    terminal.type("\x15\r", f"\r\n{PROMPT}")


def test_echo_and_history(terminal: Terminal) -> None:
    """Keys are echoed once, and the last line comes back."""
    seen = terminal.type("info status\r", "VM status: running")
    assert seen.count("info status") == 1
    terminal.until(PROMPT)
    terminal.type("\x1b[A", "info status")
    terminal.type("\r", "VM status: running")
    terminal.until(PROMPT)
