# SPDX-License-Identifier: BSD-2-Clause
"""The unit of contrib/systemd and its two configurations, as they stand there
but for paths, names and keys: a machine moves between two daemons that have
the unit's user, capabilities and nothing else."""

import pwd
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Dict

import pytest
from lib.certificates import Authority
from lib.site import Site
from lib.switchover import (DESTINATION_ADDRESS, Destination, End, Source,
                            check_move, join)

CONTRIB = Path(__file__).resolve().parents[2] / "contrib/systemd"
UNIT = CONTRIB / "tapferryd@.service"
USER = "nobody"


def setting(name: str) -> str:
    """What the unit sets."""
    match = re.search(rf"^{name}=(.*)$", UNIT.read_text(encoding="utf-8"),
                      re.MULTILINE)
    assert match, name
    return match[1]


def confined() -> Dict[str, object]:
    """How a daemon is started as the unit has it."""
    capabilities = ",".join(
        f"+{word.lower()[len('CAP_'):]}"
        for word in setting("AmbientCapabilities").split())
    user = pwd.getpwnam(USER)
    return {"inside": [
        "/usr/bin/setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
        "--clear-groups", f"--inh-caps=-all,{capabilities}",
        f"--ambient-caps=-all,{capabilities}",
        f"--bounding-set=-all,{capabilities}", "--no-new-privs",
        # LeakSanitizer, if there is one, would trace.
        "/usr/bin/env", "ASAN_OPTIONS=detect_leaks=0"]}


def start(site: Site, end: End, name: str, keys: Path) -> None:
    """Start the daemon of the unit at one end."""
    config = (CONTRIB / f"{name}.json").read_text(encoding="utf-8")
    for there, here in (("/etc/tapferry/tls", str(keys)),
                        ("/run/vm/qmp2.sock", end.monitor)):
        assert there in config
        config = config.replace(there, here)
    directory = site.directory / name
    directory.mkdir()
    shutil.chown(directory, USER)
    path = directory / "config.json"
    path.write_text(config.replace("NEWHOST", DESTINATION_ADDRESS),
                    encoding="utf-8")
    words = shlex.split(
        setting("ExecStart").replace("/etc/tapferry/%i.json", str(path))
        .replace("/run/tapferry/%i", str(directory)))
    assert words[0].endswith("/tapferryd")
    assert "%" not in "".join(words)
    end.daemon = site.daemon(end.host, f"{name}.daemon", *words[1:],
                             **confined())


def test_unit_is_valid(tmp_path: Path) -> None:
    """systemd understands all of it."""
    verify = shutil.which("systemd-analyze")
    if not verify:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "tapferryd@vm1.service"
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(
        "/usr/local/sbin/tapferryd", "/bin/true"), encoding="utf-8")
    done = subprocess.run([verify, "verify", "--man=no", str(unit)],
                          check=False, capture_output=True, text=True,
                          timeout=60)
    assert unit.name not in done.stderr, done.stderr


def test_machine_moves(site: Site) -> None:
    """With TLS, by the two configurations."""
    authority = Authority(site.directory / "authority")
    keys = site.directory / "keys"
    for role in ("server", "client"):
        authority.issue(keys, role,
                        (f"ip_address = {DESTINATION_ADDRESS}",))
    for path in (keys, *keys.iterdir()):
        shutil.chown(path, USER)
    shutil.chown(site.directory, USER)  # the monitor of the test is there
    old, new = Source(site), Destination(site)
    join(old, new)
    for end in (old, new):
        end.serve(events=False)  # armed without a migration
        Path(end.monitor).chmod(0o777)
    start(site, new, "destination", keys)
    start(site, old, "source", keys)
    new.daemon.wait_connected("in0")
    check_move(old, new)
