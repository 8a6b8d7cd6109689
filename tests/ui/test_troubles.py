"""What goes wrong while the window works: processes die, folders go, a start ends in the middle; nothing is lost."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History
from aicorona_desktop.triage import reading
from aicorona_desktop.ui.actions import HISTORY, VIEWER, WORKLIST
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.keys import KeyRouter
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.menus import TellingMenu
from aicorona_desktop.ui.verdict_panel import VerdictPanel
from aicorona_desktop.ui.viewer_place import ViewerPlace
from tests import phantom
from tests.ui.conftest import drop_on

CHEST = phantom.chest()


def context_of(window: MainWindow) -> Context:
    assert window.context is not None
    return window.context


def slices_of(window: MainWindow, uid: str) -> int:
    row = context_of(window).reading.row(uid)
    return 0 if row is None else row.slices_total


def is_done(window: MainWindow, uid: str) -> bool:
    row = context_of(window).reading.row(uid)
    return row is not None and row.state is State.DONE


@pytest.mark.skipif(sys.platform == "win32", reason="the child is ended by a signal")
def test_a_reader_and_a_scorer_that_are_killed_in_an_import_cost_no_study_its_score(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
):
    chests = [phantom.chest(f"chest-{number}") for number in range(3)]
    for chest in chests:
        chest.written_to(tmp_path / "in" / chest.name)
    engine = context_of(window).running.engine
    assert engine is not None
    with qtbot.waitSignal(window.bridge.batch_started, timeout=20_000):
        drop_on(window, tmp_path / "in")
    os.kill(engine._session.reader.process_id, signal.SIGKILL)
    uids = [chest.study_instance_uid for chest in chests]
    qtbot.waitUntil(lambda: any(is_done(window, uid) for uid in uids), timeout=60_000)
    scorer = engine._session.scorer.pid
    assert scorer is not None
    os.kill(scorer, signal.SIGKILL)

    qtbot.waitUntil(lambda: all(is_done(window, uid) for uid in uids), timeout=90_000)
    assert engine.failure is None


def test_closed_in_the_middle_of_an_import_it_goes_on_with_what_it_had_at_the_next_start(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = CHEST.with_slices(120, 2.5).written_to(tmp_path / "in")
    window = open_window()
    opened = reading.open_regular
    with monkeypatch.context() as slowly:  # as from a scratched disc: not all is read by then
        slowly.setattr(reading, "open_regular", lambda *given: (sleep(0.1), opened(*given))[1])
        with qtbot.waitSignal(window.bridge.batch_started, timeout=30_000):
            drop_on(window, folder)
        window.close()
    with History.open(tmp_path / "program" / "history.sqlite", read_only=True) as history:
        before = history.row(CHEST.study_instance_uid)
        assert history.unfinished_imports(), (
            "the import had ended before the window was closed: the test needs more files"
        )

    again = open_window()
    told = [sentence for sentence in again.notices.sentences().values() if "cut off" in sentence]
    drop_on(again, folder)
    uid = CHEST.study_instance_uid
    qtbot.waitUntil(lambda: is_done(again, uid) and slices_of(again, uid) == 120, timeout=60_000)

    assert told == ["Reading “in” was cut off when the program ended; read it again to have all its files."]
    assert before is None or before.state is not State.FAILED


def test_what_was_asked_for_at_the_last_moment_is_in_the_history(
    qtbot: QtBot, open_window: Callable[..., MainWindow], dropped_on: Callable[..., ImportSummary], tmp_path: Path
):
    window = open_window()
    dropped_on(window, CHEST.written_to(tmp_path / "in"))
    worklist = window.places[WORKLIST]
    uid = CHEST.study_instance_uid
    qtbot.waitUntil(lambda: worklist.model.row_of(uid) is not None, timeout=10_000)
    worklist.go_to(uid)
    worklist.save_note(uid, "Ask for the prior.")
    window.actions_by_name["worklist.pin"].trigger()
    window.actions_by_name["worklist.remove"].trigger()
    window.close()

    with History.open(tmp_path / "program" / "history.sqlite", read_only=True) as history:
        row = history.row(uid)
    assert row is not None
    assert (row.note, row.pinned, row.removed_at is not None) == ("Ask for the prior.", True, True)


def test_a_study_whose_files_are_gone_can_still_be_judged(
    qtbot: QtBot, open_window: Callable[..., MainWindow], dropped_on: Callable[..., ImportSummary], tmp_path: Path
):
    window = open_window()
    window.site.change(copy_files=False)
    folder = CHEST.written_to(tmp_path / "in")
    dropped_on(window, folder)
    shutil.rmtree(folder)

    window.open_study(CHEST.study_instance_uid)
    viewer = window.places[VIEWER]
    assert isinstance(viewer, ViewerPlace)
    qtbot.waitUntil(lambda: "No file of this study" in viewer.message.text(), timeout=15_000)
    verdict = viewer.findChild(VerdictPanel)
    assert verdict is not None
    qtbot.waitUntil(lambda: "still being read" not in verdict.save.toolTip(), timeout=5000)
    window.activateWindow()
    qtbot.keyClick(viewer, Qt.Key.Key_F6)
    assert viewer.message.isVisible()
    assert verdict.isVisible()
    qtbot.keyClick(viewer, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)

    reading = context_of(window).reading
    qtbot.waitUntil(lambda: reading.row(CHEST.study_instance_uid).action == "now", timeout=5000)


def test_a_key_whose_action_is_greyed_says_why(qtbot: QtBot, window: MainWindow):
    window.activateWindow()
    window.show_place(HISTORY)
    said: list[str] = []
    window.findChild(KeyRouter).refused.connect(said.append)

    for key in (Qt.Key.Key_P, Qt.Key.Key_Z):
        qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(window, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)

    assert said == [
        "This comes with a later version.",
        "There is nothing to take back.",
        "Only the viewer has a picture to copy.",
    ]
    window.show_place(VIEWER)
    assert window.actions_by_name["copy_picture"].isEnabled()


def test_every_greyed_action_has_a_reason_and_every_menu_shows_it(window: MainWindow):
    greyed = [name for name in window.actions_by_name if not window.actions_by_name[name].isEnabled()]

    assert {"report_page", "export", "lock", "undo"} <= set(greyed)
    for name in greyed:
        assert window.actions_by_name.why(name)
        assert window.actions_by_name[name].toolTip().startswith(window.actions_by_name.why(name))
    menus = [action.menu() for action in window.header.menu_bar.actions()]
    assert all(isinstance(menu, TellingMenu) for menu in menus)


def test_a_hundred_studies_dropped_at_once_are_all_in_the_list(
    qtbot: QtBot, window: MainWindow, dropped: Callable[..., ImportSummary], tmp_path: Path
):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.dcm").write_bytes(phantom.chest(f"many-{number}").with_matrix(64).file(0))

    summary = dropped(folder, scored=False, timeout_ms=120_000)

    worklist = window.places[WORKLIST]
    qtbot.waitUntil(lambda: worklist.model.snapshot.tally.total == 100, timeout=30_000)
    assert (summary.counts.files, summary.counts.studies) == (100, 100)
    assert dropped(folder, scored=False, timeout_ms=120_000).counts.known == 100
    assert QApplication.activeModalWidget() is None


def test_a_name_that_looks_like_markup_is_shown_letter_by_letter(
    qtbot: QtBot, window: MainWindow, dropped: Callable[..., ImportSummary], tmp_path: Path
):
    name = "<b>Doe</b><img src=x>"
    chest = phantom.chest("markup").without_slice(*range(2, 20)).with_tags(PatientName=name)
    dropped(chest.written_to(tmp_path / "<i>in<img src=y>"))
    worklist = window.places[WORKLIST]
    uid = chest.study_instance_uid
    qtbot.waitUntil(lambda: worklist.model.row_of(uid) is not None, timeout=10_000)
    worklist.go_to(uid)
    worklist.show_quick_look(True)
    window.notices.say(name)

    # Qt says of a label's text that it is a picture or markup only where it may be that.
    told = [label for label in window.findChildren(QLabel) if "<" in label.text()]
    assert {label.textFormat() for label in told} == {Qt.TextFormat.PlainText}
    assert any(name in label.text() for label in told)
    number = worklist.model.line_of(uid)
    tips = [
        worklist.model.index(number, column).data(Qt.ItemDataRole.ToolTipRole) or ""
        for column in range(worklist.model.columnCount())
    ]
    assert not [tip for tip in tips if "<b>" in tip or "<img" in tip]
    assert any("&lt;b&gt;Doe" in tip for tip in tips)


def test_the_parts_of_the_footer_are_reached_and_asked_by_keys(qtbot: QtBot, window: MainWindow):
    asked: list[str] = []
    window.footer.settings_asked.disconnect()
    window.footer.settings_asked.connect(asked.append)
    for name in ("pack", "device", "folders", "disk"):
        part = window.footer.findChild(QWidget, f"footer.{name}")
        assert part.focusPolicy() & Qt.FocusPolicy.TabFocus
        qtbot.keyClick(part, Qt.Key.Key_Return)

    assert asked == ["model", "model", "intake", "intake"]
