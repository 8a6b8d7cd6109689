"""Discs in the window: noticed, asked about once, copied under a line that says when they may be taken out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.discs import CopyProgress, Phase
from aicorona_desktop.intake.media import Medium, MediumKind, MediumLook
from aicorona_desktop.ui.disc_line import DiscLine, progress_words
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.media_dialog import MediumSeen, MediumSheet, question_words
from tests import phantom


class Drives:
    """What is in the drives of this computer, for a test."""

    def __init__(self) -> None:
        self.media: tuple[Medium, ...] = ()

    def __call__(self) -> tuple[Medium, ...]:
        return self.media


@pytest.fixture
def drives(monkeypatch: pytest.MonkeyPatch) -> Drives:
    drives = Drives()
    monkeypatch.setattr("aicorona_desktop.ui.disc_imports.media", drives)
    monkeypatch.setattr("aicorona_desktop.ui.disc_imports.WAIT_S", 0.05)
    return drives


@pytest.fixture
def cd(tmp_path: Path) -> Medium:
    phantom.chest().written_to(tmp_path / "cd" / "IMAGES")
    return Medium(tmp_path / "cd", MediumKind.DISC, "CHEST CD")


def asked(window: MainWindow) -> bool:
    return window.discs.sheet is not None


def test_a_disc_with_dicom_is_asked_about_copied_and_safe_to_remove(
    qtbot: QtBot, drives: Drives, cd: Medium, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window()
    drives.media = (cd,)
    qtbot.waitUntil(lambda: asked(window), timeout=10_000)
    sheet = window.discs.sheet
    assert sheet is not None
    assert "Import 20 files" in question_words(sheet.seen)
    assert "disc “CHEST CD”" in question_words(sheet.seen)
    assert sheet.read.hasFocus() or sheet.read.isDefault()

    with qtbot.waitSignal(window.bridge.import_done, timeout=60_000) as done:
        qtbot.keyClick(sheet, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: bool(window.discs.lines), timeout=10_000)
        assert window.actions_by_name["stop_import"].isEnabled()
    window.bridge.flush()

    (line,) = window.discs.lines
    assert line.words.text() == "CHEST CD: 20 of 20 files copied and checked. Safe to remove."
    assert not window.actions_by_name["stop_import"].isEnabled()
    assert done.args[0].summary.counts.images == 20
    assert "import" not in window.notices.sentences()
    qtbot.mouseClick(line.button, Qt.MouseButton.LeftButton)
    assert not window.discs.lines


def test_not_now_is_not_asked_again_also_after_a_restart(
    qtbot: QtBot, drives: Drives, cd: Medium, open_window: Callable[..., MainWindow]
) -> None:
    drives.media = (cd,)
    window = open_window()
    qtbot.waitUntil(lambda: asked(window), timeout=10_000)
    sheet = window.discs.sheet
    assert sheet is not None
    qtbot.keyClick(sheet, Qt.Key.Key_Escape)
    assert not asked(window)
    drives.media = ()
    qtbot.wait(300)
    drives.media = (cd,)
    qtbot.wait(600)
    assert not asked(window)
    window.close()

    again = open_window()
    qtbot.wait(600)

    assert not asked(again)
    assert not again.discs.lines


def test_a_kind_that_is_not_wanted_is_not_asked_about_until_the_settings_say_so(
    qtbot: QtBot, drives: Drives, cd: Medium, tmp_path: Path, open_window: Callable[..., MainWindow]
) -> None:
    window = open_window()
    drives.media = (cd,)
    qtbot.waitUntil(lambda: asked(window), timeout=10_000)
    sheet = window.discs.sheet
    assert sheet is not None
    sheet.never.setChecked(True)
    assert not sheet.read.isEnabled()
    sheet.reject()
    assert not window.user.value.ask_for_discs
    shutil.copytree(cd.root, tmp_path / "other")
    (tmp_path / "other" / "more").write_bytes(b"x")
    drives.media = (Medium(tmp_path / "other", MediumKind.DISC, "OTHER"),)
    qtbot.wait(600)
    assert not asked(window)

    drives.media = (Medium(tmp_path / "other", MediumKind.STICK, "STICK"),)

    qtbot.waitUntil(lambda: asked(window), timeout=10_000)


def test_a_disc_without_dicom_is_left_alone_and_a_question_goes_with_its_disc(
    qtbot: QtBot, drives: Drives, cd: Medium, tmp_path: Path, open_window: Callable[..., MainWindow]
) -> None:
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "song.mp3").write_bytes(b"ID3" + bytes(500))
    window = open_window()
    drives.media = (Medium(tmp_path / "music", MediumKind.DISC, "MUSIC"),)
    qtbot.wait(600)
    assert not asked(window)
    drives.media = (cd,)
    qtbot.waitUntil(lambda: asked(window), timeout=10_000)

    drives.media = ()

    qtbot.waitUntil(lambda: not asked(window), timeout=10_000)


def test_a_disc_is_chosen_by_hand_and_stopped(
    qtbot: QtBot, drives: Drives, cd: Medium, open_window: Callable[..., MainWindow], monkeypatch: pytest.MonkeyPatch
) -> None:
    window = open_window()
    engine = window.context.running.engine if window.context else None
    assert engine is not None
    stopped: list[int] = []
    monkeypatch.setattr(engine, "cancel_import", stopped.append)
    monkeypatch.setattr(engine, "import_disc", lambda medium, label: 7)
    sheet = window.intake.ask_disc()
    sheet._choose_disc(cd.root)

    from aicorona_desktop.core.events import DiscProgress

    window.bridge(DiscProgress(7, "CD", CopyProgress(Phase.COPYING, 20, 4, bytes_total=100, bytes_copied=20)))
    window.bridge.flush()
    (line,) = window.discs.lines
    assert line.words.text() == "CD: 4 of 20 files copied. Leave it in."
    qtbot.mouseClick(line.button, Qt.MouseButton.LeftButton)
    window.actions_by_name["stop_import"].trigger()

    assert stopped == [7, 7]


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (CopyProgress(Phase.LISTING), "CD: looking what is on it. Leave it in."),
        (
            CopyProgress(Phase.COPYING, 1240, 412, 3, seconds_left=131),
            "CD: 412 of 1240 files copied, 3 not readable so far, about 2 min left. Leave it in.",
        ),
        (
            CopyProgress(Phase.AWAY, 1240, 412),
            "CD: it was taken out too early. Put it in again to go on; 412 of 1240 files are copied.",
        ),
        (
            CopyProgress(Phase.SAFE, 1240, 1238, 0, 2, bytes_lost=5120),
            "CD: 1238 of 1240 files copied and checked, 2 could not be read (5120 bytes). Safe to remove.",
        ),
    ],
)
def test_the_line_says_what_is_going_on_and_what_may_be_done(progress: CopyProgress, words: str) -> None:
    assert progress_words("CD", progress) == words


def test_a_name_of_a_disc_is_shown_as_it_is_and_covered_while_names_are_hidden(qtbot: QtBot) -> None:
    seen = MediumSeen(Medium(Path("/x"), MediumKind.DISC, "<b>DOE</b> {size}"), "f", MediumLook(True, 3, 5_000_000))

    assert "“<b>DOE</b> {size}”" in question_words(seen)
    assert "DOE" not in question_words(seen, covered=True)
    line = DiscLine("{total} <i>X</i>")
    qtbot.addWidget(line)
    line.show_progress(CopyProgress(Phase.COPYING, 3, 1))
    assert line.words.text().startswith("{total} <i>X</i>: 1 of 3")
    assert line.words.textFormat() is Qt.TextFormat.PlainText


@pytest.mark.parametrize("percent", [100, 200])
def test_the_question_fits_its_sheet_at_any_size_of_text(qtbot: QtBot, percent: int) -> None:
    seen = MediumSeen(Medium(Path("/x"), MediumKind.STICK, "A" * 32), "f", MediumLook(True, 50_000, 9 * 10**9, False))
    sheet: Any = MediumSheet(seen)
    qtbot.addWidget(sheet)
    font = sheet.font()
    font.setPointSizeF(font.pointSizeF() * percent / 100)
    sheet.setFont(font)
    sheet.show()
    QApplication.processEvents()
    for label in (sheet.explained, sheet.never):
        assert label.geometry().bottom() <= sheet.height()
