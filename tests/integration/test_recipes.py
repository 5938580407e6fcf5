# SPDX-License-Identifier: BSD-2-Clause
"""The recipes of docs/other-vmms.md, run as they stand there; only paths
and the new host's name are put in."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Dict, List, Tuple

import pytest

from lab.paths import Paths
from lib.site import Site
from lib.switchover import (DESTINATION_ADDRESS, Destination, End, Source,
                            join)
from lib.words import event

PAGE = Path(__file__).resolve().parents[2] / "docs/other-vmms.md"
# Frames shipped again where nothing tells what the guest got.
DEFAULT_OVERLAP = 8

Recipe = Dict[Tuple[str, str], str]


def recipes() -> Dict[str, Recipe]:
    """Scripts by heading, then by host and what they are for."""
    found: Dict[str, Recipe] = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        scripts = re.findall(r"^```sh\n# (\w+) host: (\w+)\n(.*?)^```$",
                             section, re.MULTILINE | re.DOTALL)
        found[section.splitlines()[0]] = {
            (host, what): script for host, what, script in scripts}
    return found


class Shell:
    """A shell on one host, with stand-ins for what is not installed: curl
    notes what it was asked for and succeeds."""

    def __init__(self, site: Site, end: End) -> None:
        self._end = end
        self.directory = site.directory / end.name
        (self.directory / "bin").mkdir(parents=True)
        self._install("curl", 'printf "%s\\n" "$*" >>"$0.log"\n')
        tool = os.environ.get("TAPFERRY") or Paths().build / "tapferry"
        self._install("tapferry", f"exec {tool} --socket "
                      f"{site.path(end.name)}.qmp \"$@\"\n")

    def _install(self, name: str, text: str) -> None:
        program = self.directory / "bin" / name
        program.write_text("#!/bin/sh\n" + text, encoding="utf-8")
        program.chmod(0o755)

    def fill_in(self, script: str) -> str:
        """The script with this test's paths and addresses."""
        for name, value in (("/run/tapferry", str(self.directory)),
                            ("/run/vm", str(self.directory)),
                            ("NEWHOST", DESTINATION_ADDRESS)):
            script = script.replace(name, value)
        return script

    def run(self, script: str) -> None:
        """Run a script on the host."""
        with self._end.host.entered():
            subprocess.run(
                ["sh", "-eu", "-c", self.fill_in(script)], check=True,
                timeout=30, stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH":
                     f"{self.directory}/bin:{os.environ['PATH']}"})

    def start(self, site: Site, script: str) -> None:
        """Run what comes before tapferryd, then tapferryd."""
        before, options = script.replace("\\\n", "").split(
            "tapferryd ", 1)
        self.run(before)
        self._end.daemon = site.daemon(
            self._end.host, self._end.name,
            *shlex.split(self.fill_in(options)))

    def calls(self) -> List[str]:
        """What curl was asked for."""
        log = self.directory / "bin" / "curl.log"
        return log.read_text(encoding="utf-8").splitlines() \
            if log.exists() else []


class Pair:
    """A recipe's two hosts, ready to move a machine."""

    def __init__(self, site: Site, recipe: Recipe) -> None:
        self.recipe = recipe
        self.source, self.destination = Source(site), Destination(site)
        join(self.source, self.destination)
        self.old = Shell(site, self.source)
        self.new = Shell(site, self.destination)
        self.new.start(site, recipe["new", "daemon"])
        self.old.start(site, recipe["old", "daemon"])
        for end in (self.source, self.destination):
            end.daemon.wait_connected()

    def say(self, shell: Shell, host: str, what: str) -> None:
        """Run the recipe's script, or do what Cloud Hypervisor does."""
        if (host, what) in self.recipe:
            shell.run(self.recipe[host, what])
        else:
            words = {"stopped": ("vm.migration-started", "vm.pausing",
                                 "vm.paused"),
                     "running": ("vm.migration-receive-started",
                                 "vm.resuming", "vm.resumed")}[what]
            (shell.directory / "events").write_text(
                "".join(map(event, words)), encoding="utf-8")


@pytest.mark.parametrize("name, overlap", [
    ("A script", 0), ("Firecracker", DEFAULT_OVERLAP),
    ("Cloud Hypervisor", DEFAULT_OVERLAP)])
def test_recipe(site: Site, name: str, overlap: int) -> None:
    """A machine moves by the book."""
    pair = Pair(site, recipes()[name])
    pair.source.run(30)
    pair.source.rest()
    pair.source.vmm.read(False)
    first = pair.source.next - overlap
    pair.source.send(10)
    pair.say(pair.old, "old", "stopped")
    pair.source.wait_phase("shipping")
    pair.source.send(5)
    pair.source.wait_captured()
    pair.source.daemon.wait_counters(queued=0)
    pair.destination.daemon.wait_counters(held=15 + overlap, out_netdev=0)
    pair.destination.vmm.read()
    pair.say(pair.new, "new", "running")
    pair.destination.vmm.wait_count(15 + overlap)
    assert pair.destination.vmm.numbers() == \
        list(range(first, pair.source.next))


def test_firecracker_is_asked_as_it_wants(site: Site) -> None:
    """The calls of its API, in their order."""
    pair = Pair(site, recipes()["Firecracker"])
    pair.say(pair.old, "old", "stopped")
    pair.say(pair.new, "new", "running")
    verbs = [re.findall(r"-X (\w+) http://localhost/(\S+)", line)
             for line in pair.old.calls() + pair.new.calls()]
    assert [verb for line in verbs for verb in line] == [
        ("PATCH", "vm"), ("PUT", "snapshot/create"),
        ("PUT", "snapshot/load"), ("PATCH", "vm")]
    assert '{"state": "Paused"}' in pair.old.calls()[0]
    assert '{"state": "Resumed"}' in pair.new.calls()[-1]


def test_every_script_is_run() -> None:
    """No script of the page is passed over by these tests."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("\n```sh\n") == sum(map(len, recipes().values())) == 10
