# SPDX-License-Identifier: BSD-2-Clause
"""What can be told of the sources without running them."""

import concurrent.futures
import os
import re
import subprocess
from pathlib import Path
from typing import Iterator, List

import pytest

TOP = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> List[Path]:
    """The project's own files; without git, what lies there."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others",
                           "--exclude-standard", *patterns],
                          cwd=TOP, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode:
        return [path for pattern in patterns for path in TOP.rglob(pattern)
                if "build" not in path.parts]
    return [TOP / name for name in done.stdout.splitlines()
            if (TOP / name).exists()]


def c_files() -> List[Path]:
    """All C sources and headers."""
    return tracked("*.c", "*.h")


def layers() -> List[str]:
    """The layers of src/, lowest first, as the build file has them."""
    text = (TOP / "src/meson.build").read_text(encoding="utf-8")
    return re.findall(r"'([\w-]+)'", text.split("layers = [")[1].split("]")[0])


def includes(path: Path) -> Iterator[str]:
    """The project's headers that @path includes."""
    for line in path.read_text(encoding="utf-8").splitlines():
        match = re.match(r'#include "([\w-]+)/', line)
        if match:
            yield match[1]


def test_lower_layers_know_nothing_of_upper_ones() -> None:
    """A file includes from its own layer and those below it."""
    order = layers()
    wrong = [f"{path.relative_to(TOP)} includes {layer}/"
             for path in c_files()
             if path.parent.parent == TOP / "src"
             and path.parent.name in order
             for layer in includes(path)
             if order.index(layer) > order.index(path.parent.name)]
    assert not wrong, "\n".join(wrong)


def test_format() -> None:
    """clang-format has nothing to change."""
    done = subprocess.run(["clang-format", "--dry-run", "-Werror",
                           *map(str, c_files())], cwd=TOP, text=True,
                          check=False, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr[:4000]


def tidy(path: Path) -> str:
    """What clang-tidy says of one source."""
    done = subprocess.run(["clang-tidy", "--quiet", "-p", "build/clang",
                           str(path)], cwd=TOP, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout if done.returncode else ""


def test_tidy() -> None:
    """clang-tidy finds nothing in the daemon and the command line tool."""
    sources = [path for path in c_files()
               if path.suffix == ".c" and path.is_relative_to(TOP / "src")]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = "".join(pool.map(tidy, sources))
    assert not found, found[:8000]


def test_shell() -> None:
    """shellcheck finds nothing in the shell scripts."""
    scripts = [str(path) for path in tracked("*.sh", "tools/*", ".ci/run")
               if path.is_file() and re.match(
                   rb"#!/bin/(ba)?sh", path.read_bytes()[:20])]
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], cwd=TOP, text=True,
                          check=False, stdout=subprocess.PIPE)
    assert done.returncode == 0, done.stdout[:4000]


@pytest.mark.parametrize("pattern", ["*.c", "*.h", "*.py", "*.sh",
                                     "meson.build", "Makefile"])
def test_licence_line(pattern: str) -> None:
    """Every source says under which licence it stands."""
    without = [str(path.relative_to(TOP)) for path in tracked(pattern)
               if "SPDX-License-Identifier: BSD-2-Clause" not in
               path.read_text(encoding="utf-8")[:200]]
    assert not without


def test_file_length() -> None:
    """A source file does one thing, so it is not long."""
    long = [f"{path.relative_to(TOP)}: {lines}" for path in c_files()
            if path.is_relative_to(TOP / "src")
            and (lines := len(path.read_text(encoding="utf-8")
                              .splitlines())) > 700]
    assert not long
