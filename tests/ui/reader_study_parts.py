"""A program's folder with studies that were scored for real, and a window that reads them in a reader study."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.reader_study import StudyState
from aicorona_desktop.app.reader_study_cases import Candidate, cases_of
from aicorona_desktop.app.reader_study_design import Design, Participant
from aicorona_desktop.app.reader_study_files import read_study
from aicorona_desktop.app.services import Wishes, running
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.ui.actions import VERIFICATION
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.reader_study import ReaderStudies, ReaderStudyPage
from aicorona_desktop.ui.reader_study_reading import ReadingWindow
from aicorona_desktop.ui.verification_place import VerificationPlace
from tests import phantom

NAMES = ("Alpha^Anna", "Beta^Berta", "Gamma^Gina")
TRUTHS = ("covid", "normal", "cp")
CODE = "R-17"


def scored(folder: Path) -> Path:
    """Score three studies in a folder, with what a reader must not see; return the program's folder."""
    program, studies = folder / "program", folder / "studies"
    program.mkdir(parents=True)
    for number, name in enumerate(NAMES):
        chest = phantom.chest(f"case{number}").with_seed(number + 1).with_ground_glass((0.9, 0.0, 0.4)[number])
        tags = {
            "PatientName": name,
            "PatientID": f"ID-77{number}",
            "PatientBirthDate": "19610203",
            "StudyDate": "20260105",
            "StudyDescription": "CT suspected COVID",
            "SeriesDescription": "infected lungs",
            "InstitutionName": "Clinic Verysecret",
            "AccessionNumber": f"ACC-99{number}",
        }
        chest.with_tags(**tags).written_to(studies / f"case{number}")
    wishes = Wishes(history=program / "history.sqlite", settings=Settings(provider="cpu", quiet_time_s=0, poll_s=0.2))
    with running(wishes, lambda _: None, lambda _: None) as parts:
        assert parts.engine is not None
        parts.engine.submit([studies], "studies")
        ends = time.monotonic() + 60
        while [row.state for row in parts.history.rows()] != [State.DONE] * len(NAMES):
            assert time.monotonic() < ends
            time.sleep(0.1)
        assert parts.engine.wait_until_idle(60)
        for row in parts.history.rows():
            parts.history.save_verdict(
                row.study_instance_uid, impression="covid", action="now", note="Priorsecret", initials="ZZ"
            )
    return program


def put_into(program: Path, folder: Path) -> None:
    """Put a prepared program's files into the folder of a window."""
    shutil.copytree(program, folder, dirs_exist_ok=True)


def design_of(context: Context, **rules: object) -> Design:
    """A study of the three cases for one reader."""
    rows = {row.patient_name: row for row in context.reading.rows()}
    candidates = [Candidate(rows[name], truth) for name, truth in zip(NAMES, TRUTHS, strict=True)]
    values: dict[str, object] = {
        "name": "Autumn",
        "cases": cases_of(candidates, 5),
        "readers": (Participant(CODE, "senior", 15),),
        "seed": 5,
        "chunk_cases": 2,
        "pause_minutes": 0,
        "washout_days": 0,
    }
    return Design(**{**values, **rules})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Desk:
    """A window with a reader study, and what a reader does at it."""

    window: MainWindow
    studies: ReaderStudies
    qtbot: QtBot

    @property
    def context(self) -> Context:
        assert self.window.context is not None
        return self.window.context

    @property
    def reading(self) -> ReadingWindow:
        assert self.studies.reading is not None
        return self.studies.reading

    @property
    def state(self) -> StudyState:
        """The study as the history has it."""
        assert self.studies.open_study is not None
        return read_study(self.context.reading, self.studies.open_study.number)[0]

    def make(self, **rules: object) -> None:
        design = design_of(self.context, **rules)
        self.studies.make(design)
        self.wait(lambda: self.studies.open_study is not None and self.studies.open_study.state.design == design)

    def sit_down(self) -> ReadingWindow:
        self.studies.read()
        self.wait(lambda: self.studies.reading is not None)
        reading = self.reading
        self.qtbot.waitExposed(reading)
        reading.activateWindow()
        QApplication.processEvents()
        return reading

    def begin(self) -> None:
        """Open a part and wait for its first case."""
        self.press(Qt.Key.Key_Return)
        self.wait_for_case()

    def wait_for_case(self) -> str:
        """Wait until the pictures of the case stand on the screen and may be answered; return its code."""
        reading = self.reading
        self.wait(
            lambda: (
                bool(reading.case)
                and reading.viewer.viewed is not None
                and reading.viewer.viewed.study_instance_uid == reading._uids[reading.case]
                and reading.viewer.main.shown_index is not None
                and reading.answer.isEnabled()
            )
        )
        return reading.case

    def press(self, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        QTest.keyClick(QApplication.focusWidget() or self.reading, key, modifiers)

    def say(self, key: Qt.Key) -> None:
        """Answer and save by keys."""
        self.press(key)
        self.press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    def stand_up(self) -> None:
        self.reading.close()
        self.wait(lambda: self.studies.reading is None)

    def wait(self, holds: Callable[[], object], timeout_ms: int = 15_000) -> None:
        self.qtbot.waitUntil(lambda: bool(holds()), timeout=timeout_ms)


def desk_at(window: MainWindow, qtbot: QtBot) -> Desk:
    """Take the reader studies of a window's place of verification."""
    window.show_place(VERIFICATION)
    place = window.places[VERIFICATION]
    assert isinstance(place, VerificationPlace)
    page = place.findChildren(ReaderStudyPage)[0]
    place.tabs.setCurrentWidget(page)
    return Desk(window, page.studies, qtbot)
