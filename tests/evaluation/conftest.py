"""A made-up study of the paper's size, written once, for the tests of the report."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from aicorona_desktop.evaluation.report.answers import Wishes
from aicorona_desktop.evaluation.report.callers import F1
from aicorona_desktop.evaluation.report.inputs import read_inputs
from aicorona_desktop.evaluation.report.study import Study, study_of
from aicorona_desktop.evaluation.synthetic_study import write_study

TODAY = date(2026, 11, 24)


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the made-up study, without pictures; not to be changed."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, seed=0, pictures=False)
    return folder


@pytest.fixture(scope="session")
def study(study_folder: Path) -> Study:
    """The same, computed, without the bootstrap."""
    return study_of(read_inputs(study_folder), Wishes(rounds=0), F1.STANDARD, TODAY)
