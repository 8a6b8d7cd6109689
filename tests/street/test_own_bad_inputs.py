"""Every case of our own generator ends in its outcome, for its reason, with every file named and nothing changed."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import bad_inputs
from tests.street.conftest import Street
from tests.street.test_bad_inputs import STATES, outcome_of, reasons_of

GROUPS = sorted({case.group for case in bad_inputs.cases()})


@pytest.mark.skipif(os.name != "posix", reason="pipes, links and names of any bytes are POSIX's")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("group", GROUPS)
def test_every_case_of_our_own_ends_as_it_should(group: str, tmp_path: Path, run: Callable[..., Street]) -> None:
    wrong: list[Any] = []
    for case in bad_inputs.write(tmp_path / "cases", f"^{group}/"):
        folder = tmp_path / "cases" / case.name
        before = listing(folder)

        street = run(folder)

        found, said = outcome_of(street), reasons_of(street)
        if not re.fullmatch(case.outcome, found) or not re.search(case.reason, said, re.IGNORECASE):
            wrong.append((case.name, case.outcome, found, case.reason, said[:300]))
        if case.every_file_named and len(street.files) != len(before):
            wrong.append((case.name, "files named", len(street.files), "of", len(before)))
        if case.studies is not None and case.studies != sum(one["study_uid"] is not None for one in street.objects):
            wrong.append((case.name, "studies", len(street.objects)))
        if any(one["state"] not in STATES for one in street.objects):
            wrong.append((case.name, "state", [one["state"] for one in street.objects]))
        if listing(folder) != before:
            wrong.append((case.name, "the source was changed"))
    assert not wrong, "\n".join(map(str, wrong))


def listing(folder: Path) -> dict[bytes, tuple[int, int, str]]:
    """Every file below a folder: size, time of change, and what it holds where that is soon read."""
    found = {}
    for top, _, names in os.walk(os.fsencode(folder)):
        for name in names:
            path = os.path.join(top, name)  # noqa: PTH118 - names are bytes
            status = os.lstat(path)
            held = ""
            if 0 < status.st_size < 1 << 20 and os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114
                with open(path, "rb") as file:  # noqa: PTH123
                    held = hashlib.sha256(file.read()).hexdigest()
            found[path] = (status.st_size, status.st_mtime_ns, held)
    return found
