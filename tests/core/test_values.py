"""The product's words: what names a file, which outcome is the gravest, where files lie."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from aicorona_desktop.core import places
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason, worst
from aicorona_desktop.core.places import data_dir


def test_a_file_below_its_source_is_named_by_its_path_and_one_in_an_archive_by_what_is_shown(tmp_path: Path) -> None:
    plain = FileRef(tmp_path / "in" / "a\u200bb", "ab", 1, 0, "", str(tmp_path / "in"))
    member = FileRef(tmp_path / "spool" / "0f", "CT/1.dcm", 1, 0, "", str(tmp_path / "disc.zip"))

    assert plain.location == str(tmp_path / "in" / "a\u200bb")
    assert member.location == str(tmp_path / "disc.zip" / "CT" / "1.dcm")


def test_the_gravest_outcome_counts_and_no_finding_means_scored() -> None:
    findings = tuple(Finding(outcome, Reason.TILT) for outcome in (Outcome.WARNED, Outcome.UNSUITABLE, Outcome.IGNORED))

    assert worst(findings) is Outcome.UNSUITABLE
    assert worst(()) is Outcome.SCORED


@pytest.mark.parametrize("name", ["x" * 65, "two\nlines", "\u202eturned"])
def test_evidence_holds_no_text_that_a_patient_could_stand_in(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        Finding(Outcome.WARNED, Reason.CONTRAST, name=name)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
def test_the_data_folder_is_made_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.platformdirs, "user_data_dir", lambda name, **_: str(tmp_path / name))

    assert data_dir() == tmp_path / "aicorona-desktop"
    assert stat.S_IMODE(data_dir().stat().st_mode) == 0o700
