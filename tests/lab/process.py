# SPDX-License-Identifier: BSD-2-Clause
"""Child processes that never outlive the laboratory, and its signals."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Sequence, Union

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

Argument = Union[str, Path]


class Interrupted(BaseException):
    """A signal asked the laboratory to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into one exception, so that every
    context manager on the way out cleans up; further ones are ignored,
    so that nothing disturbs it."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def on_signal(number: int, _frame: object) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)

    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let no signal in while something is cleaned up."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Child:
    """One process, its output in a log file.

    It runs in a session of its own: a Ctrl-C at the terminal reaches the
    laboratory alone, which then ends its children in the right order.
    Should the laboratory be killed, the kernel kills the child.
    """

    def __init__(self, name: str, argv: Sequence[Argument], log: Path,
                 stdout: Union[Path, None] = None,
                 pass_fds: Sequence[int] = ()) -> None:
        self.name = name
        self.log = log
        with contextlib.ExitStack() as files:
            errors = files.enter_context(open(log, "ab"))
            output = errors if stdout is None else \
                files.enter_context(open(stdout, "wb"))
            self._process = subprocess.Popen(
                [os.fspath(argument) for argument in argv],
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                start_new_session=True, preexec_fn=_die_with_parent,
                pass_fds=pass_fds)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> Union[int, None]:
        """The exit status, None while it runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        self._process.send_signal(number)

    def wait(self, timeout: float) -> int:
        """Wait for its end, kill it if that takes too long."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            print(f"lab: {self.name} (pid {self.pid}) had to be killed",
                  file=sys.stderr)
            self._process.kill()
            return self._process.wait()

    def stop(self, timeout: float = 5.0) -> int:
        """Ask it to end (SIGTERM), insist after a while (SIGKILL)."""
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait(timeout)

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message."""
        text = self.log.read_text(errors="replace") if self.log.exists() \
            else ""
        return "\n".join(text.strip().splitlines()[-lines:]) or "(no output)"
