from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.events import Notice, WatchedFolder, WatchState
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.core.user_settings import load_user_settings
from aicorona_desktop.history.connection import WriterLock
from aicorona_desktop.history.store import utc_now
from aicorona_desktop.ui.actions import VIEWER, WORKLIST
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.footer import ElidedLabel, folder_words
from aicorona_desktop.ui.help_sheet import PREVALENCES, share_of_right_flags
from aicorona_desktop.ui.main_window import MainWindow
from tests import phantom
from tests.ui.conftest import drop_on

NO = Qt.KeyboardModifier.NoModifier


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small chest CT, a text and a copy of one slice."""
    folder = tmp_path_factory.mktemp("drop") / "CT 12"
    phantom.chest().with_ground_glass(0.8).written_to(folder)
    (folder / "readme.txt").write_text("nothing")
    return folder


def services_of(window: MainWindow):
    assert window.context is not None
    return window.context.running


def test_a_dropped_folder_becomes_a_scored_study_and_every_file_is_counted(
    window: MainWindow, dropped: Callable[..., ImportSummary], chest: Path
):
    summary = dropped(chest)

    row = services_of(window).history.row(phantom.chest().study_instance_uid)
    assert row is not None
    assert row.state is State.DONE
    assert row.probabilities is not None
    assert summary.counts.images == 20
    assert summary.counts.not_dicom == 1
    assert summary.label == "CT 12"
    assert "import" not in window.notices.sentences()  # the progress went with its end

    again = dropped(chest, scored=False)  # the same study is recognised, not doubled
    assert again.counts.known == 20

    assert window.footer.words()["device"] == "Processor (CPU)"
    window.open_study(phantom.chest().study_instance_uid)
    assert window.in_front == VIEWER
    window.go_back()
    assert window.in_front == WORKLIST


def test_the_window_starts_tells_and_ends_as_it_should(
    qtbot: QtBot, open_window: Callable[..., MainWindow], tmp_path: Path
):
    window = open_window()
    _the_footer_says_what_it_must(window)
    _every_control_has_an_accessible_name(window)
    _it_fits_the_smallest_screen(window)
    _keys_reach_places_and_text_size(qtbot, window)
    _each_cause_has_one_bar(window)
    _sheets_open_and_close(qtbot, window)

    window.show_place(VIEWER)
    before = time.monotonic()
    window.close()
    assert time.monotonic() - before < 2.5
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("lane ", "engine"))]
    assert load_user_settings(tmp_path / "program").last_place == VIEWER
    assert not window.user.recalled("window").isEmpty()


def _the_footer_says_what_it_must(window: MainWindow) -> None:
    words = window.footer.words()
    assert words["notice"] == "Research use. Not a diagnosis. Every study must be read."
    assert services_of(window).pack.title in words["pack"]
    assert services_of(window).pack.status_text in words["pack"]
    assert words["folders"] == "No folder watched"


def _every_control_has_an_accessible_name(window: MainWindow) -> None:
    unnamed = [
        one
        for kind in (QAbstractButton, QLineEdit)
        for one in window.findChildren(kind)
        if one.isVisibleTo(window)
        if not (one.accessibleName() or getattr(one, "text", str)())
        if not one.objectName().startswith("qt_")
        if not type(one.parent()).__name__.startswith(("QHeaderView", "QAbstractScrollArea", "QTabBar", "QLineEdit"))
    ]
    assert [(type(one).__name__, one.objectName(), type(one.parent()).__name__) for one in unnamed] == []


def _it_fits_the_smallest_screen(window: MainWindow) -> None:
    for percent in (100, 200):
        window.user.change(text_percent=percent)
        QApplication.processEvents()
        hint = window.minimumSizeHint()
        assert hint.width() <= 1280, percent
        assert hint.height() <= 720, percent
        notice = window.footer.findChild(QWidget, "footerNotice")
        assert notice.width() >= notice.sizeHint().width()  # the notice is never cut
    window.user.change(text_percent=100)


def _keys_reach_places_and_text_size(qtbot: QtBot, window: MainWindow) -> None:
    window.activateWindow()
    for key, place in ((Qt.Key.Key_2, VIEWER), (Qt.Key.Key_1, WORKLIST)):
        qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert window.in_front == place
        assert window.header.place_button(place).isChecked()
    qtbot.keyClick(window, Qt.Key.Key_Plus, Qt.KeyboardModifier.ControlModifier)
    assert window.user.value.text_percent == 110
    qtbot.keyClick(window, Qt.Key.Key_0, Qt.KeyboardModifier.ControlModifier)
    assert window.user.value.text_percent == 100
    qtbot.keyClick(window, Qt.Key.Key_F11)
    assert window.isFullScreen()
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.isFullScreen()


def _each_cause_has_one_bar(window: MainWindow) -> None:
    full = Finding(Outcome.WARNED, Reason.DISK_NEARLY_FULL, found=400, needed=512)
    for megabytes in (400, 300):
        window.bridge(Notice(Finding(Outcome.WARNED, full.reason, found=megabytes, needed=512)))
        window.bridge.flush()
    assert [text for cause, text in window.notices.sentences().items() if cause == full.reason.name] == [
        "0.3 GB left. No new files are taken in. Reading and scoring go on. Free space on this disk."
    ]
    window.bridge(Notice(Finding(Outcome.WARNED, Reason.DISK_HAS_ROOM, found=900)))
    window.bridge.flush()
    assert full.reason.name not in window.notices.sentences()


def _sheets_open_and_close(qtbot: QtBot, window: MainWindow) -> None:
    for name, title in (("settings", "Settings"), ("key_sheet", "Keys"), ("help", "Help"), ("about", "Help")):
        window.actions_by_name[name].trigger()
        sheet = next(one for one in window.findChildren(Sheet) if one.isVisible())
        assert sheet.windowTitle() == title
        sheet.reject()
        QApplication.sendPostedEvents(sheet, QEvent.Type.DeferredDelete)


def test_names_are_covered_shown_while_a_key_is_held_and_each_look_is_recorded(
    qtbot: QtBot, open_window: Callable[..., MainWindow]
):
    window = open_window(hide_names=True)
    context = window.context
    assert context is not None
    assert window.actions_by_name["hide_names"].isChecked()
    assert context.identities.covered

    QApplication.sendEvent(window, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_F9, NO))
    assert not context.identities.covered
    QApplication.sendEvent(window, QKeyEvent(QEvent.Type.KeyRelease, Qt.Key.Key_F9, NO))
    assert context.identities.covered

    recorded: list[int] = []
    context.jobs.run(lambda: None, lambda _: recorded.append(1))  # behind the record, in the same lane
    qtbot.waitUntil(lambda: bool(recorded))
    with context.running.history._reading() as connection:
        kinds = [row[0] for row in connection.execute("SELECT event FROM audit ORDER BY sequence")]
    assert kinds.count("names shown") == 1


def test_a_watched_folder_is_taken_up_scored_and_told_in_the_footer(qtbot: QtBot, window: MainWindow, tmp_path: Path):
    folder = tmp_path / "scanner"
    folder.mkdir()
    window.site.change(watched=(WatchedSource(folder),))
    assert window.footer.words()["folders"] == "Watching 1 folder(s)"

    phantom.chest().written_to(folder / "study")
    history = services_of(window).history
    uid = phantom.chest().study_instance_uid

    def scored() -> bool:
        row = history.row(uid)
        return row is not None and row.state is State.DONE

    qtbot.waitUntil(scored, timeout=30_000)
    window.site.change(watched=())
    assert window.footer.facts.folders == ()


def test_a_history_that_another_program_writes_is_opened_for_reading_and_takes_nothing(
    open_window: Callable[..., MainWindow], chest: Path, tmp_path: Path
):
    open_window().close()
    lock = WriterLock(tmp_path / "program" / "history.sqlite")

    window = open_window()

    assert services_of(window).engine is None
    assert window.notices.sentences()["reading only"].startswith("Another copy of the program has the history open.")
    assert not window.actions_by_name["open_folder"].isEnabled()
    assert "Another copy" in window.actions_by_name["open_folder"].toolTip()
    assert not drop_on(window, chest)
    window.close()
    lock.release()


def test_the_notice_is_acknowledged_once_and_not_again(qtbot: QtBot, tmp_path: Path, site: Settings):
    wishes = Wishes(history=tmp_path / "history.sqlite", settings=site)
    first = MainWindow(wishes, tmp_path)
    first.show()
    qtbot.waitUntil(lambda: bool([one for one in first.findChildren(Sheet) if one.isVisible()]), timeout=30_000)
    assert not first.places  # nothing is shown before
    sheet = first.findChildren(Sheet)[0]
    with qtbot.waitSignal(first.ready, timeout=30_000):
        sheet.accept_button.click()
    first.close()

    second = MainWindow(wishes, tmp_path)
    with qtbot.waitSignal(second.ready, timeout=30_000):
        second.show()
    assert not [one for one in second.findChildren(Sheet) if one.isVisible()]
    second.close()


def test_a_history_that_cannot_be_opened_is_said_in_the_window(qtbot: QtBot, tmp_path: Path, site: Settings):
    place = tmp_path / "history.sqlite"
    place.write_text("this is no history")
    window = MainWindow(Wishes(history=place, settings=site), tmp_path)
    window.show()

    qtbot.waitUntil(lambda: "services" in window.notices.sentences(), timeout=30_000)

    assert window.notices.sentences()["services"] in window.opening.text()
    assert place.read_text() == "this is no history"
    window.close()


def test_closing_while_it_opens_leaves_nothing_behind(qtbot: QtBot, open_window: Callable[..., MainWindow]):
    window = open_window(wait=False)
    with qtbot.waitSignal(window.painted):
        pass

    window.close()

    assert window.context is None
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("lane ", "engine"))]


def test_a_folder_that_is_lost_or_refused_is_named_with_the_time(qapp: QApplication, tmp_path: Path):
    at = utc_now()
    lost = WatchedFolder(tmp_path / "CT", WatchState.LOST, at)
    clock = at.astimezone().strftime("%H:%M")

    assert folder_words((lost,)) == (f"CT: cannot be reached since {clock}", True)
    refused = WatchedFolder(tmp_path / "CT", WatchState.REFUSED, at)
    assert folder_words((refused,)) == (f"CT: access refused since {clock}", True)
    assert folder_words(()) == ("No folder watched", False)


@pytest.mark.parametrize(("prevalence", "percent"), [*zip(PREVALENCES, (58, 23, 5), strict=True)])
def test_help_holds_the_arithmetic_of_flags(prevalence: float, percent: int):
    assert round(100 * share_of_right_flags(prevalence)) == percent


def test_after_a_device_was_left_the_bar_says_how_long_a_study_takes_now(
    window: MainWindow, dropped: Callable[..., ImportSummary], qtbot: QtBot, tmp_path: Path
):
    left = Finding(Outcome.WARNED, Reason.PROVIDER_LEFT, name="CUDA")
    window.bridge(Notice(left))
    window.bridge.flush()
    assert "more slowly" in window.notices.sentences()[left.reason.name]

    dropped(phantom.chest().with_ground_glass(0.5).written_to(tmp_path / "study"))

    qtbot.waitUntil(lambda: "s per study" in window.notices.sentences()[left.reason.name], timeout=5000)


@pytest.mark.parametrize("percent", [80, 100, 130, 150, 200])
def test_name_and_status_of_the_pack_are_whole_at_every_size_of_text(
    open_window: Callable[..., MainWindow], qtbot: QtBot, percent: int
):
    window = open_window()
    window.resize(1280, 720)

    window.user.change(text_percent=percent)
    QApplication.processEvents()

    words = window.footer.findChild(QWidget, "footer.pack").findChild(ElidedLabel)
    assert words.in_short.endswith("research weights")
    assert words.fontMetrics().horizontalAdvance(words.in_short) <= words.width()
