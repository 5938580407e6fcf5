# SPDX-License-Identifier: BSD-2-Clause
"""Reads query-qmp-schema, and holds replies against it."""

from typing import Any, Dict, Iterator, List

BUILTINS = {"string": str, "int": int, "number": (int, float),
            "boolean": bool, "null": type(None)}


class Schema:
    """The types of one QMP server."""

    def __init__(self, entries: List[Dict[str, Any]]) -> None:
        self.types = {entry["name"]: entry for entry in entries}
        assert len(self.types) == len(entries), "a name is there twice"

    def references(self, entry: Dict[str, Any]) -> Iterator[str]:
        """The types that @entry names."""
        for key in ("arg-type", "ret-type", "element-type"):
            if key in entry:
                yield entry[key]
        if entry["meta-type"] != "enum":
            for part in entry.get("members", []) + entry.get("variants", []):
                yield part["type"]

    def reachable(self) -> List[str]:
        """All that can be reached from commands and events."""
        todo = [name for name, entry in self.types.items()
                if entry["meta-type"] in ("command", "event")]
        seen: Dict[str, None] = {}
        while todo:
            name = todo.pop()
            if name not in seen:
                seen[name] = None
                todo += self.references(self.types[name])
        return list(seen)

    def members(self, name: str, value: Any = None) -> Dict[str, Any]:
        """The members of an object type, those of @value's variant too."""
        entry = self.types[name]
        members = {member["name"]: member for member in entry["members"]}
        if value is not None and "tag" in entry:
            for variant in entry["variants"]:
                if variant["case"] == value[entry["tag"]]:
                    members.update(self.members(variant["type"], value))
        return members

    def check(self, name: str, value: Any, where: str = "") -> None:
        """Fails unless @value is of the type @name."""
        entry = self.types[name]
        kind = entry["meta-type"]
        where = where or name
        if kind == "builtin":
            expected = BUILTINS.get(entry["json-type"])
            assert expected is None or isinstance(value, expected), where
            assert not (entry["json-type"] == "int"
                        and isinstance(value, bool)), where
        elif kind == "enum":
            assert value in entry["values"], f"{where}: {value}"
        elif kind == "array":
            assert isinstance(value, list), where
            for i, element in enumerate(value):
                self.check(entry["element-type"], element, f"{where}[{i}]")
        else:
            assert kind == "object" and isinstance(value, dict), where
            members = self.members(name, value)
            for key, part in value.items():
                assert key in members, f"{where}: no member {key}"
                self.check(members[key]["type"], part, f"{where}.{key}")
            for key, member in members.items():
                assert "default" in member or key in value, \
                    f"{where}: {key} is missing"
