"""The checklist names a test or a picture for every rule, and each of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.screenshots.make import SCENES, SHOTS

ROOT = Path(__file__).parents[1]
LATER = re.compile(r"\b(later|gap): \w+")


def rows() -> dict[str, str]:
    """Return what shows each rule, by the rule's number."""
    text = (ROOT / "docs" / "ux-checklist.md").read_text("utf-8")
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert all(len(each) == 3 for each in cells)
    assert len({each[0] for each in cells}) == len(cells), "a rule stands there twice"
    return {number: shown for number, _, shown in cells}


def rules_of(specification: str) -> list[str]:
    """Return the numbers of all rules that must be followed: the item's own, or its place among the bullets."""
    section, bullets, found = "", 0, []
    for line in specification.splitlines():
        if heading := re.match(r"#+ (\d+(?:\.\d+)?)[. ]", line):
            section, bullets = heading[1], 0
        elif item := re.match(r"(\d+)\. (\w) ", line):
            found += [f"{section}.{item[1]}"] if item[2] == "M" else []
        elif line.startswith("- "):
            bullets += 1
            found += [f"{section}.{bullets}"] if line.startswith("- M ") else []
    return found


def test_every_rule_of_the_specification_has_its_line_in_order(shared: Path) -> None:
    specification = shared / "ux.md"
    if not specification.is_file():
        pytest.skip("the specification is not there")
    rules = rules_of(specification.read_text("utf-8"))
    assert len(rules) > 100

    assert [number for number in rows() if number in rules] == rules


def test_every_rule_is_shown_by_something_or_says_what_it_waits_for() -> None:
    empty = [
        number for number, shown in rows().items() if not (re.search(r"`(tests/|shot:)", shown) or LATER.search(shown))
    ]

    assert empty == []


def test_every_test_that_is_named_exists() -> None:
    named = {match for shown in rows().values() for match in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)}
    assert len(named) > 80
    known = {path: (ROOT / path).read_text("utf-8") if (ROOT / path).is_file() else "" for path, _ in named}

    assert sorted(f"{path}::{name}" for path, name in named if f"def {name}(" not in known[path]) == []


def test_every_picture_that_is_named_is_one_that_the_script_makes() -> None:
    named = {name for shown in rows().values() for name in re.findall(r"`shot:([\w-]+)`", shown)}
    assert len(named) > 25

    assert named - SHOTS.keys() == set()
    assert {name for _, names in SCENES for name in names} >= SHOTS.keys()
