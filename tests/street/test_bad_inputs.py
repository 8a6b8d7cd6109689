"""Every generated broken, hostile or awkward input ends in the outcome that its manifest states, and for its reason."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.street.conftest import Street

GRAVITY = ["scored", "warned", "ignored", "unsuitable", "refused"]
STATES = {"done", "unsuitable", "refused", "failed", "ignored"}

# case -> (what we say instead, why)
ARGUED: dict[str, tuple[str, str]] = {}


def outcome_of(street: Street) -> str:
    """The outcome of a case as a user would name it: that of its study, else of its gravest file."""
    studies = [one for one in street.objects if one["study_uid"] is not None]
    if not studies:
        return max((outcome["outcome"] for outcome in street.files.values()), key=GRAVITY.index, default="ignored")
    return max((_outcome(study) for study in studies), key=GRAVITY.index)


def _outcome(study: dict[str, Any]) -> str:
    if study["state"] != "done":
        return str(study["state"])
    used = {outcome["outcome"] for outcome in study["files"].values()}
    return "warned" if "warned" in used else "scored"


def reasons_of(street: Street) -> str:
    said = [warning for one in street.objects for warning in one["warnings"]]
    return " ".join([*said, *(outcome["reason"] for outcome in street.files.values())])


def files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def rows(bad_inputs: Path) -> list[dict[str, str]]:
    with (bad_inputs / "manifest.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


CLASSES = (
    "truncated",
    "length",
    "transfer-syntax",
    "good",
    "value",
    "text",
    "pixel-data",
    "bomb",
    "archive",
    "media",
    "file-system",
    "study",
)


@pytest.mark.parametrize("group", CLASSES)
def test_every_generated_case_ends_as_its_manifest_says(
    group: str, bad_inputs: Path, run: Callable[..., Street]
) -> None:
    wrong: list[Any] = []
    for row in rows(bad_inputs):
        if row["class"] != group or (row["note"].startswith("run as an ordinary user") and os.geteuid() == 0):
            continue
        folder = bad_inputs / "cases" / row["case"]

        street = run(folder)

        expected = ARGUED.get(row["case"], (row["expected"],))[0]
        found = outcome_of(street)
        reasons = reasons_of(street)
        if found != expected or (row["reason"] and not re.search(row["reason"], reasons, re.IGNORECASE)):
            wrong.append((row["case"], expected, found, row["reason"], reasons[:200]))
        if row["class"] != "archive" and "symlink-dir" not in row["case"]:
            listed = len(street.files)
            if listed != files_below(folder):
                wrong.append((row["case"], "files listed", listed, files_below(folder), ""))
        if any(one["state"] not in STATES for one in street.objects):
            wrong.append((row["case"], "state", [one["state"] for one in street.objects], "", ""))
    assert not wrong, "\n".join(map(str, wrong))
