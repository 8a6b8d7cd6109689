"""Rules of the interaction specification that concern the whole window rather than one part of it."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDialog,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QTabBar,
    QWidget,
)
from pytestqt.qtbot import QtBot

import aicorona_desktop.ui
from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.ui.actions import HISTORY, VERIFICATION, VIEWER, WORKLIST
from aicorona_desktop.ui.footer import notice_words
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.settings_pages import groups
from aicorona_desktop.ui.verdict_panel import VerdictPanel
from aicorona_desktop.ui.viewer_place import ViewerPlace
from aicorona_desktop.ui.worklist_place import WorklistPlace
from tests import phantom

UI = Path(aicorona_desktop.ui.__file__).parent
PLACES = (WORKLIST, VIEWER, HISTORY, VERIFICATION)

Drop = Callable[..., ImportSummary]


def worklist_of(window: MainWindow) -> WorklistPlace:
    place = window.places[WORKLIST]
    assert isinstance(place, WorklistPlace)
    return place


def viewer_of(window: MainWindow) -> ViewerPlace:
    place = window.places[VIEWER]
    assert isinstance(place, ViewerPlace)
    return place


def press(window: MainWindow, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    """Press and let go a key where the focus is, as a person does."""
    if QApplication.activeWindow() is None:
        window.activateWindow()
        QApplication.processEvents()
    QTest.keyClick(QApplication.focusWidget() or window, key, modifiers)


def opened_study(qtbot: QtBot, window: MainWindow, uid: str) -> ViewerPlace:
    window.open_study(uid)
    viewer = viewer_of(window)
    qtbot.waitUntil(lambda: viewer.viewed is not None and viewer.main.shown_index is not None, timeout=15_000)
    return viewer


# --- from the files to the record, by keys alone ---------------------------------------------------------------


def test_a_study_is_opened_looked_at_and_judged_by_keys_alone_and_all_is_there_after_a_restart(
    qtbot: QtBot, open_window: Callable[..., MainWindow], window: MainWindow, dropped: Drop, tmp_path: Path
) -> None:
    chest = phantom.chest().with_ground_glass(0.7)
    dropped(chest.written_to(tmp_path / "in"))
    qtbot.waitUntil(lambda: worklist_of(window).model.line_of(chest.study_instance_uid) is not None, timeout=5000)
    worklist_of(window).view.setFocus()

    press(window, Qt.Key.Key_Home)
    press(window, Qt.Key.Key_N)
    assert worklist_of(window).view.current_uid == chest.study_instance_uid
    press(window, Qt.Key.Key_Return)
    viewer = viewer_of(window)
    qtbot.waitUntil(lambda: viewer.viewed is not None and viewer.main.shown_index is not None, timeout=15_000)
    before = viewer.state.slice_index
    press(window, Qt.Key.Key_Up)
    assert viewer.state.slice_index == before + 1
    press(window, Qt.Key.Key_M)
    assert viewer.state.map_on
    qtbot.waitUntil(lambda: viewer.maps.limits("covid") is not None, timeout=15_000)
    press(window, Qt.Key.Key_V)
    panel = next(iter(window.findChildren(VerdictPanel)))
    panel.impression.choose("covid")
    press(window, Qt.Key.Key_F6)
    press(window, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    context = window.context
    assert context is not None
    qtbot.waitUntil(lambda: bool(context.reading.verdicts(chest.study_instance_uid)), timeout=5000)
    press(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    assert window.in_front == WORKLIST
    window.close()

    again = open_window()

    assert again.context is not None
    row = again.context.reading.row(chest.study_instance_uid)
    assert row is not None
    assert (row.impression, row.action, row.read_by) == ("covid", "now", "T")
    assert row.probabilities is not None
    (verdict,) = again.context.reading.verdicts(chest.study_instance_uid)
    assert verdict.map_seen


def test_every_place_is_one_key_and_one_click_away_with_the_notice_in_sight(window: MainWindow) -> None:
    for number, name in reversed(list(enumerate(PLACES))):
        press(window, Qt.Key(Qt.Key.Key_1 + number), Qt.KeyboardModifier.ControlModifier)
        assert window.in_front == name
        assert window.footer.isVisible()
        assert window.footer.words()["notice"] == notice_words()
    for name in PLACES:
        (button,) = [
            one
            for one in window.header.findChildren(QAbstractButton)
            if one.isVisible() and one.text() == window.actions_by_name.text(f"place.{name}")
        ]
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        assert window.in_front == name


# --- what comes in ----------------------------------------------------------------------------------------------


def test_any_path_and_archive_is_read_and_not_one_source_file_is_changed(dropped: Drop, tmp_path: Path) -> None:
    folder = tmp_path / "Süß – Пациент 中村 (1)" / ("long " * 30).strip()
    first, second = phantom.chest().named("one"), phantom.chest().named("two")
    first.written_to(folder)
    archive = tmp_path / "Диск 中.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in second.files().items():
            packed.writestr(f"DICOM/{name}", content)
    before = state_of(tmp_path)

    summary = dropped(folder, archive, scored=False)

    assert (summary.counts.images, summary.counts.studies) == (40, 2)
    assert {path: state for path, state in state_of(tmp_path).items() if path in before} == before


def state_of(folder: Path) -> dict[Path, tuple[int, str]]:
    """Return when each file below a folder was changed and what it holds, but for the program's own."""
    files = (path for path in folder.rglob("*") if path.is_file() and "program" not in path.parts)
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads which sockets are open from /proc")
def test_no_network_socket_is_open_in_any_process_while_a_study_is_scored_and_looked_at(
    qtbot: QtBot, window: MainWindow, dropped: Drop, tmp_path: Path
) -> None:
    chest = phantom.chest()
    dropped(chest.written_to(tmp_path / "in"))
    opened_study(qtbot, window, chest.study_instance_uid)

    processes = family_of(os.getpid())

    assert len(processes) >= 3  # this one, the one that reads, the one that scores
    assert sockets_of(processes) & network_sockets() == set()


def family_of(parent: int) -> list[int]:
    """Return a process and all below it."""
    family = [parent]
    for process in family:
        for thread in Path(f"/proc/{process}/task").glob("*/children"):
            family += [int(child) for child in thread.read_text().split()]
    return family


def sockets_of(processes: list[int]) -> set[str]:
    """Return the inodes of the sockets that processes have open."""
    found: set[str] = set()
    for process in processes:
        for entry in Path(f"/proc/{process}/fd").iterdir():
            try:
                target = str(entry.readlink())
            except OSError:
                continue
            found.update(re.findall(r"socket:\[(\d+)\]", target))
    return found


def network_sockets() -> set[str]:
    """Return the inodes of all network sockets of this computer."""
    tables = (Path(f"/proc/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"))
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {line[9] for line in lines}


# --- filters ------------------------------------------------------------------------------------------------------


def test_a_filter_survives_a_visit_to_the_viewer_and_not_a_restart(
    qtbot: QtBot, open_window: Callable[..., MainWindow], window: MainWindow
) -> None:
    place = worklist_of(window)
    place.filters.search.setText("doe")
    place.filters.chips["unread"].click()
    qtbot.waitUntil(lambda: place.filters.is_on)

    window.show_place(VIEWER)
    window.show_place(WORKLIST)
    assert (place.filters.search.text(), place.filters.chips["unread"].isChecked()) == ("doe", True)
    window.close()

    assert not worklist_of(open_window()).filters.is_on


# --- layout, names, reasons ------------------------------------------------------------------------------------------


@pytest.fixture
def window_with_study(qtbot: QtBot, window: MainWindow, dropped: Drop, tmp_path: Path) -> MainWindow:
    """A window with a study open in the viewer, and read in the history."""
    chest = phantom.chest().with_ground_glass(0.7)
    dropped(chest.written_to(tmp_path / "in"))
    opened_study(qtbot, window, chest.study_instance_uid)
    window.places[HISTORY].show_study(chest.study_instance_uid)
    QApplication.processEvents()
    return window


def test_at_the_smallest_screen_nothing_needs_sideways_scrolling(qtbot: QtBot, window_with_study: MainWindow) -> None:
    window = window_with_study
    wide = []
    for group, _ in groups():
        sheet = window.open_settings(group)
        qtbot.wait(30)
        wide += [
            f"settings, {group}" for area in sheet.findChildren(QScrollArea) if area.horizontalScrollBar().maximum()
        ]
        sheet.close()
    for percent in (100, 150):
        window.user.change(text_percent=percent)
        window.resize(1280, 720)
        for name in PLACES:
            window.show_place(name)
            qtbot.wait(120)
            assert (window.width(), window.height()) == (1280, 720), (name, percent)
            wide += [
                f"{name} at {percent} %: {_named(area)}"
                for area in (*window.findChildren(QScrollArea), *window.findChildren(QAbstractItemView))
                if area.isVisible() and area.horizontalScrollBar().maximum() > 0
            ]
    assert wide == []


def test_every_control_can_be_heard_and_every_greyed_one_says_why(window_with_study: MainWindow) -> None:
    window = window_with_study
    sheets = [window.open_settings(), window.open_help(), window.open_key_sheet()]
    nameless = {_named(one) for sheet in sheets for one in _controls(sheet) if not _is_heard(one)}
    silent = set()
    for name in PLACES:
        window.show_place(name)
        QApplication.processEvents()
        nameless |= {_named(one) for one in _controls(window) if not _is_heard(one)}
        silent |= {
            f"{name}: {_named(button)}"
            for button in window.findChildren(QAbstractButton)
            if button.isVisible()
            and not button.isEnabled()
            and not (button.toolTip() or button.accessibleDescription())
        }

    assert nameless == set()
    assert silent == set()


def _controls(root: QWidget) -> Iterator[QWidget]:
    kinds = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox, QAbstractSpinBox, QAbstractItemView)
    for kind in kinds:
        for one in root.findChildren(kind):
            inner = one.parent()
            part_of_another = isinstance(inner, (QComboBox, QAbstractSpinBox, QLineEdit, QTabBar))
            if isinstance(one, QHeaderView):
                continue
            if one.isVisible() and not part_of_another and not one.objectName().startswith("qt_"):
                yield one


def _is_heard(one: QWidget) -> bool:
    if one.accessibleName():
        return True
    return bool(one.text() or one.toolTip()) if isinstance(one, QAbstractButton) else False


def _named(one: QWidget) -> str:
    parents, at = [], one
    while at is not None:
        parents.append(at.objectName() or type(at).__name__)
        at = at.parentWidget()
    return " < ".join(parents[:5])


# --- words and quiet --------------------------------------------------------------------------------------------------

NEVER = (
    "diagnosed",
    "detected",
    "positive patient",
    "cleared",
    "safe",
    "healthy",
    "normal scan",
    "ai thinks",
    "heat map",
    "heatmap",
    "lesion",
    "infection",
    "evidence",
    "probability",
)
"""Words that may not stand in what the window says, but to deny them; "diagnosis" has its own rule."""


def shown_texts() -> list[str]:
    """Return every text that the window marks for translation, that is, all that it can say of its own."""
    found = []
    for path in sorted(UI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name_of(node.func) in ("translate", "tr", "_text", "QT_TRANSLATE_NOOP"):
                found += [
                    one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
    return found


def _name_of(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_no_text_of_the_window_uses_a_word_that_it_must_not_say() -> None:
    texts = shown_texts()
    assert len(texts) > 500  # all of them, not those of one file

    texts = [text.replace("Safe to remove", "") for text in texts]  # of a disc (issue 12), never of a patient
    said = [
        (word, text) for text in texts for word in NEVER if re.search(rf"(?<!no )(?<!not a )\b{word}\b", text.lower())
    ]
    diagnosis = [text for text in texts if re.search(r"\bdiagnos", text.lower()) and " not " not in f" {text.lower()} "]

    assert said == []
    assert diagnosis == []


def test_no_text_of_the_window_shouts() -> None:
    assert [text for text in shown_texts() if "!" in text] == []


def test_the_window_makes_no_sound_and_opens_nothing_by_itself(
    window: MainWindow, dropped: Drop, tmp_path: Path
) -> None:
    noisy = re.compile(r"QSoundEffect|QMediaPlayer|QSystemTrayIcon|QMessageBox|\.beep\(|\.alert\(")
    assert [path.name for path in UI.glob("*.py") if noisy.search(path.read_text("utf-8"))] == []

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "text.txt").write_text("no image")
    dropped(phantom.chest().with_ground_glass(1.0).written_to(tmp_path / "in"))

    assert [one for one in QApplication.topLevelWidgets() if isinstance(one, QDialog) and one.isVisible()] == []
