# SPDX-License-Identifier: BSD-2-Clause
"""The pages say what the program's tables say."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from lib.peer import tapferry, tapferryd

TOP = Path(__file__).resolve().parents[2]
COMMON = {"netdev", "queue", "status", "position", "insert", "bpf"}


@pytest.fixture(name="schema", scope="module")
def fixture_schema() -> Any:
    """What -dump-schema prints."""
    return json.loads(subprocess.run([tapferryd(), "-dump-schema"],
                                     check=True, stdout=subprocess.PIPE
                                     ).stdout)


def filters(schema: Any) -> Dict[str, Any]:
    """The properties of each filter by name."""
    return {entry["name"]: {row["name"]: row for row in entry["properties"]}
            for entry in schema["types"]["objects"]
            if entry.get("parent") == "netfilter"}


def table(page: str) -> Dict[str, str]:
    """The defaults in a page's property table, by name."""
    text = (TOP / "docs/filters" / page).read_text(encoding="utf-8")
    section = re.search(r"\| property \| default \|.*?\n\n", text, re.S)
    assert section, f"{page} has no table of properties"
    rows: Dict[str, str] = {}
    for line in section[0].splitlines()[2:]:
        if line:
            cells = [cell.strip() for cell in line.split("|")]
            for name in re.findall(r"`([^`]+)`", cells[1]):
                rows[name] = cells[2]
    return rows


def expected(row: Dict[str, Any]) -> str:
    """How a table shows a property's default."""
    if row["required"]:
        return "required"
    return f"`{row['default']}`" if "default" in row else "none"


def hold(rows: Dict[str, str], properties: Dict[str, Any]) -> None:
    """Fails unless the table has the properties and their defaults."""
    assert set(rows) == set(properties)
    for name, row in properties.items():
        assert rows[name].startswith(expected(row)), name


def test_filter_pages(schema: Any) -> None:
    """One page a filter, with its properties and their defaults."""
    pages = {path.name for path in (TOP / "docs/filters").glob("*.md")}
    assert pages == {"README.md"} | {
        name.replace("filter-", "") + ".md" for name in filters(schema)}
    for name, properties in filters(schema).items():
        hold(table(name.replace("filter-", "") + ".md"),
             {key: row for key, row in properties.items()
              if key not in COMMON})
        hold(table("README.md"),
             {key: row for key, row in properties.items() if key in COMMON})


def manual(page: str) -> str:
    """A page as man shows it."""
    filled = subprocess.run(
        ["/usr/bin/python3", str(TOP / "tools/man-page"), tapferryd(),
         str(TOP / "docs/man" / f"{page}.scd")], check=True,
        stdout=subprocess.PIPE).stdout
    assert not re.search(rb"^@", filled, re.M)
    roff = subprocess.run(["scdoc"], input=filled, check=True,
                          stdout=subprocess.PIPE).stdout
    shown = subprocess.run(["man", "--warnings", "-l", "-"], input=roff,
                           check=True, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE,
                           env={"MANWIDTH": "200", "LC_ALL": "C.UTF-8",
                                "PATH": "/usr/bin:/bin"})
    assert not shown.stderr, shown.stderr
    return re.sub(r".\x08", "", shown.stdout.decode())


def section(text: str, title: str) -> str:
    """What stands under a title."""
    found = re.search(rf"^{title}\n(.*?)(?=^\S|\Z)", text, re.S | re.M)
    assert found, f"no section {title}"
    return found[1]


def test_filters_manual(schema: Any) -> None:
    """tapferry-filters(7) has every property of every filter."""
    text = manual("tapferry-filters.7")
    for name, properties in filters(schema).items():
        own = section(text, name.upper())
        common = section(text, "PROPERTIES OF EVERY FILTER")
        for key, row in properties.items():
            where = common if key in COMMON else own
            assert re.search(rf"^ +{key}=", where, re.M), (name, key)
            if "default" in row:
                assert f"default {row['default']}" in where, (name, key)


def words(rows: List[Dict[str, Any]]) -> List[str]:
    """The names in a table."""
    return [row["name"] for row in rows]


def test_daemon_manual(schema: Any) -> None:
    """tapferryd(8) has every option, type and command."""
    text = manual("tapferryd.8")
    for option in words(schema["options"]):
        assert re.search(rf"^ +-{option}\b", section(text, "OPTIONS"), re.M)
    for kind in ("netdevs", "chardevs"):
        for name in words(schema["types"][kind]):
            assert re.search(rf"^ +{name}$", section(text, kind.upper()), re.M)
    for command in words(schema["commands"]):
        assert command in section(text, "QMP")
    for command in words(schema["hmp"] + schema["hmp-info"]):
        assert command in section(text, "HUMAN MONITOR")


def test_tool_manual() -> None:
    """tapferry(1) has every subcommand of the help, and none else."""
    shown = subprocess.run([tapferry(), "help"], check=True, text=True,
                           stdout=subprocess.PIPE).stdout
    commands = set(re.findall(r"^  ([a-z]+)", shown, re.M))
    text = section(manual("tapferry.1"), "COMMANDS")
    assert commands == set(re.findall(r"^       ([a-z]+)", text, re.M))
