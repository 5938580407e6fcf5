# SPDX-License-Identifier: BSD-2-Clause
"""The commands of docs/security.md, run as they stand there; only paths, names
and the user are put in."""

import os
import pwd
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import List

from lib.site import Site
from lib.switchover import (DESTINATION_ADDRESS, SOURCE_ADDRESS, Destination,
                            End, Source, check_move, join)

PAGE = Path(__file__).resolve().parents[2] / "docs/security.md"
USER = "nobody"


def commands() -> List[str]:
    """The page's scripts."""
    return re.findall(r"^```sh\n(.*?)^```$",
                      PAGE.read_text(encoding="utf-8"),
                      re.MULTILINE | re.DOTALL)


def run(script: str, directory: Path, **variables: str) -> None:
    """Run a script there."""
    subprocess.run(["sh", "-eu", "-c", script], check=True, timeout=60,
                   cwd=directory, env={**os.environ, **variables},
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def start(site: Site, end: End, script: str, keys: Path) -> None:
    """Start the daemon of the page at one end."""
    for name, value in (
            ("/etc/tapferry/tls", str(keys)), ("/run/vm/qmp2.sock",
                                               end.monitor),
            ("/run/tapferry", site.path(end.name)),
            ("NEWHOST", DESTINATION_ADDRESS), ("-user tapferry",
                                               f"-user {USER}")):
        assert name in script or name == "NEWHOST", name
        script = script.replace(name, value)
    words = shlex.split(script.replace("\\\n", ""))
    assert words[0] == "tapferryd"
    directory = site.directory / end.name
    directory.mkdir()
    os.chown(directory, pwd.getpwnam(USER).pw_uid, -1)
    # LeakSanitizer, if there is one, would trace: the sandbox forbids it.
    end.daemon = site.daemon(
        end.host, f"{end.name}.daemon", *words[1:],
        inside=["/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0"])


def test_page(site: Site, tmp_path: Path) -> None:
    """Keys by the book, daemons by the book, and a machine moves."""
    authority, certificates, destination, source, psk = commands()
    run(authority, tmp_path)
    for host, address in (("new.example", DESTINATION_ADDRESS),
                          ("old.example", SOURCE_ADDRESS)):
        run(certificates, tmp_path, host=host, address=address)
    run(psk, tmp_path)
    assert (tmp_path / "psk/keys.psk").read_text(
        encoding="ascii").startswith("qemu:")
    for path in tmp_path.rglob("*-key.pem"):
        assert path.stat().st_mode & 0o077 == 0, path

    site.directory.chmod(0o755)
    old, new = Source(site), Destination(site)
    join(old, new)
    for end in (old, new):
        end.serve(events=False)  # armed without a migration
    start(site, new, destination, tmp_path / "new.example")
    start(site, old, source, tmp_path / "old.example")
    for end in (old, new):
        end.daemon.wait_connected("out0" if end is old else "in0")
    check_move(old, new)
    shutil.rmtree(tmp_path)
