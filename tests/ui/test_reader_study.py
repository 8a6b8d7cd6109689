from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QGroupBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QTableWidget,
    QTabWidget,
    QTextBrowser,
    QWidget,
)
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.reader_study import Step
from aicorona_desktop.app.reader_study_design import Participant
from aicorona_desktop.evaluation.readers import read_readers
from aicorona_desktop.history.store import HistoryError
from aicorona_desktop.ui.actions import ACTIONS
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.panes import ImagePane
from aicorona_desktop.ui.reader_study import UnblindSheet
from aicorona_desktop.ui.reader_study_charts import marked
from aicorona_desktop.ui.reader_study_cover import MAP_ACTIONS
from aicorona_desktop.ui.reader_study_dialog import StudySheet
from aicorona_desktop.ui.reader_study_results import ResultsSheet
from aicorona_desktop.ui.study_words import points
from tests.ui.reader_study_parts import CODE, NAMES, Desk, desk_at, put_into, scored

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"covid": Qt.Key.Key_F8, "normal": Qt.Key.Key_F6, "cp": Qt.Key.Key_F7}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored(tmp_path_factory.mktemp("reader_study"))


@pytest.fixture
def folder(program: Path, tmp_path: Path, open_window: object) -> Path:
    """The program's folder that `open_window` opens, with the studies in it."""
    put_into(program, tmp_path / "program")
    return tmp_path / "program"


@pytest.fixture
def desk(folder: Path, open_window: Callable[..., MainWindow], qtbot: QtBot) -> Desk:
    return desk_at(open_window(), qtbot)


def read_session(desk: Desk, answer: Callable[[str], Qt.Key]) -> None:
    """Read a whole session by keys; `answer` gives the key for a case."""
    desk.sit_down()
    while desk.studies.reading is not None and desk.reading.session.finished is False:
        if desk.reading.standing.step is Step.MAY_CLOSE:
            desk.press(Qt.Key.Key_Return)
        elif desk.reading.case:
            case = desk.wait_for_case()
            desk.say(answer(case))
            desk.wait(lambda case=case: desk.reading.case != case)
        else:
            desk.begin()
    desk.stand_up()


# --- what must not be seen ---------------------------------------------------------------------------------------


def everything_told(widget: QWidget) -> Iterator[str]:
    """All words in a window, shown or not: what is there can be brought to the screen somehow."""
    for one in (widget, *widget.findChildren(QObject)):
        yield from texts_of(one)


def texts_of(one: QObject) -> Iterator[str]:
    if isinstance(one, QWidget):
        yield from (one.windowTitle(), one.toolTip(), one.statusTip(), one.whatsThis())
        yield from (one.accessibleName(), one.accessibleDescription())
    match one:
        case QLabel() | QAbstractButton() | QLineEdit():
            yield one.text()
        case QAction():
            yield from (one.text(), one.toolTip())
        case QGroupBox():
            yield one.title()
        case ImagePane():
            yield from (line for lines in one.dressing.corners for line in lines)
        case _:
            yield from items_of(one)


def items_of(one: QObject) -> Iterator[str]:
    match one:
        case QComboBox():
            yield from (one.itemText(place) for place in range(one.count()))
        case QTabWidget():
            yield from (one.tabText(place) for place in range(one.count()))
        case QListWidget():
            yield from (f"{one.item(row).text()} {one.item(row).toolTip()}" for row in range(one.count()))
        case QTextBrowser():
            yield one.toPlainText()
        case QTableWidget():
            items = (one.item(row, column) for row in range(one.rowCount()) for column in range(one.columnCount()))
            yield from (item.text() for item in items if item is not None)


def secrets_of(desk: Desk) -> set[str]:
    """Everything about the studies that a reader must not learn: who, when, what was said, what the model said."""
    found = {"Verysecret", "Priorsecret", "suspected", "infected", "1961", "2026-01-05", "20260105", ".dcm"}
    found |= {part.lower() for name in NAMES for part in name.split("^")}
    for row in desk.context.reading.rows():
        found |= {row.patient_id, row.accession_number, row.study_instance_uid}
        assert row.probabilities is not None
        found |= {points(value) for value in row.probabilities if value > 0.11}
        found |= {f"{value:.{places}f}" for value in row.probabilities for places in (2, 3)}
    return {one.lower() for one in found if one}


def assert_nothing_leaks(desk: Desk, secrets: set[str]) -> None:
    reading = desk.reading
    words = [
        text.lower()
        for top in QApplication.topLevelWidgets()
        if top.isVisible() and top is not desk.window
        for text in everything_told(top)
        if text
    ]
    assert len(words) > 100
    for label in reading.findChildren(QLabel):
        assert not (label.isVisible() and "model score" in label.text().lower())
    assert not reading.viewer.panel.isVisible()
    assert reading.viewer.side.indexOf(reading.viewer.panel) < 0
    viewer = reading.viewer
    assert viewer.viewed is None or viewer.viewed.result is None
    assert viewer.maps.maps is None
    assert all(viewer.maps.limits(name) is None for name in ("normal", "cp", "covid"))
    assert viewer._contributions() == {}
    assert not viewer._priors
    assert viewer.book._measures == {} or all(one.kind for one in viewer.book._measures.values())
    assert not desk.window.isVisible()


def do_all_actions(desk: Desk, secrets: set[str]) -> None:
    """Do every action there is, as its key asks for it and as its menu does."""
    reading, actions = desk.reading, desk.reading.context.actions
    for name in (spec.name for spec in ACTIONS if spec.name != "quit"):
        actions.ask(name)
        actions.let_go(name)
        actions[name].trigger()
        QApplication.processEvents()
        for sheet in [one for one in QApplication.topLevelWidgets() if one not in (reading, desk.window)]:
            if sheet.isVisible():
                assert_nothing_leaks(desk, secrets)
                sheet.close()
    assert_nothing_leaks(desk, secrets)


def press_all_keys(desk: Desk) -> None:
    """Press every letter, digit and function key over the picture, alone and with others."""
    key, with_key = Qt.Key, Qt.KeyboardModifier
    spans = ((key.Key_0, key.Key_9), (key.Key_A, key.Key_Z), (key.Key_F1, key.Key_F10))
    modifiers = (with_key.NoModifier, with_key.ControlModifier, with_key.ShiftModifier)
    for one in (Qt.Key(number) for first, last in spans for number in range(first, last + 1)):
        for modifier in modifiers:
            if (one, modifier) != (key.Key_Q, with_key.ControlModifier):
                QTest.keyClick(desk.reading.viewer.main.pane, one, modifier)


def test_without_the_model_no_key_panel_title_list_or_corner_tells_score_map_rank_verdict_or_patient(
    desk: Desk,
) -> None:
    desk.make()
    secrets = secrets_of(desk)
    desk.context.identities.hide(hidden=False)
    reading = desk.sit_down()
    assert_nothing_leaks(desk, secrets)
    desk.begin()
    assert_nothing_leaks(desk, secrets)
    case = reading.case

    do_all_actions(desk, secrets)
    press_all_keys(desk)
    QTest.qWait(400)  # whatever was asked for has come
    menu = reading.viewer.tools.menu_at_pointer(reading)
    told = [action.text() for action in menu.actions() if action.isVisible()]
    menu.deleteLater()
    assert not any("map" in text.lower() for text in told)
    assert not any(reading.context.actions[name].isVisible() for name in MAP_ACTIONS)
    for popup in [one for one in QApplication.topLevelWidgets() if one not in (reading, desk.window)]:
        popup.close()
    assert_nothing_leaks(desk, secrets)
    assert reading.case == case or reading.case in {one.code for one in desk.state.design.cases}
    for ask in ("verdicts", "rows", "trail", "escalations", "viewings", "lane_page", "outcomes", "notes"):
        with pytest.raises(HistoryError):
            getattr(reading.context.reading, ask)
    desk.stand_up()
    rows = {row.study_instance_uid: row for row in desk.context.reading.rows()}
    assert all(row.impression == "covid" and row.read_by == "ZZ" for row in rows.values())  # nothing was said of them
    assert all(not desk.context.reading.viewings(uid) and not desk.context.reading.measures(uid) for uid in rows)


def test_with_the_model_its_scores_and_maps_are_shown_and_what_was_seen_is_kept(desk: Desk) -> None:
    desk.make(crossover=True, readers=(Participant("R-1", "senior"), Participant("R-2", "junior")), chunk_cases=3)
    aided = next(place for place, one in enumerate(("R-1", "R-2")) if desk.state.session(one, 1).aided)
    desk.studies.list.setCurrentCell(aided, 0)
    reading = desk.sit_down()
    desk.begin()
    result = desk.context.reading.result(reading._uids[reading.case])
    assert result is not None
    covid = result.score.probabilities[2]

    told = list(everything_told(reading))
    assert any(text.endswith(f": {points(covid)}") for text in told)
    assert not any(part.lower() in text.lower() for text in told for name in NAMES for part in name.split("^"))
    desk.press(Qt.Key.Key_M)
    desk.wait(lambda: reading.viewer.maps.limits("covid") is not None)
    desk.wait(lambda: reading.session.readings[0].map_opened)
    desk.say(Qt.Key.Key_F8)
    desk.wait_for_case()
    desk.stand_up()

    one, two = desk.state.session(reading.reader, 1).readings
    assert one.shown_p_covid == pytest.approx(covid, abs=1e-6)
    assert one.map_opened
    assert not two.map_opened
    assert two.revealed


def test_in_a_sequential_design_the_model_comes_after_the_first_impression(desk: Desk) -> None:
    desk.make(sequential=True, chunk_cases=3)
    read_session(desk, lambda _: Qt.Key.Key_F6)
    reading = desk.sit_down()
    desk.begin()
    secrets = secrets_of(desk)
    assert reading.viewer.viewed is not None
    assert reading.viewer.viewed.result is None
    assert not any(text.endswith(f": {one}") for text in everything_told(reading) for one in secrets if one.isdigit())

    desk.say(Qt.Key.Key_F7)
    desk.wait(lambda: reading.viewer.viewed is not None and reading.viewer.viewed.result is not None)
    desk.wait(reading.answer.isEnabled)
    reading.context.actions.ask("viewer.map")
    reading.context.actions.let_go("viewer.map")
    desk.wait(lambda: reading.viewer.maps.limits("covid") is not None)
    first = reading.case
    desk.say(Qt.Key.Key_F8)
    desk.wait(lambda: reading.case != first)
    desk.stand_up()

    one = desk.state.session(CODE, 2).readings[0]
    assert one.first is not None
    assert (one.first.yes, one.answer and one.answer.yes) == ((False, True, False), (False, False, True))


# --- going through a study ---------------------------------------------------------------------------------------


def test_a_study_is_read_by_keys_alone_and_its_files_and_results_are_those_of_the_readings(
    desk: Desk, tmp_path: Path
) -> None:
    desk.make()
    truth = (
        {one.code: one.truth for one in desk.studies.open_study.state.design.cases} if desk.studies.open_study else {}
    )
    assert not desk.studies.buttons["results"].isEnabled()
    assert not desk.studies.buttons["export"].isEnabled()
    read_session(desk, lambda _: Qt.Key.Key_F6)
    read_session(desk, lambda case: KEYS[truth[case]])
    desk.wait(desk.studies.buttons["results"].isEnabled)

    desk.studies.export(tmp_path)
    desk.wait(lambda: desk.state.exports == 1)
    rows = read_readers(tmp_path / "readers.csv")
    assert [(row.reading_pass, row.call) for row in rows if row.reading_pass == 1] == [(1, "normal")] * 3
    scan_truth = {one.scan_id: one.truth for one in desk.state.design.cases}
    assert all(row.call == scan_truth[row.scan_id] for row in rows if row.reading_pass == 2)
    assert all(row.seconds is not None and 0 < row.seconds < 60 for row in rows)

    desk.studies.show_results()
    desk.wait(lambda: desk.window.findChildren(ResultsSheet))
    sheet = desk.window.findChildren(ResultsSheet)[0]
    figures = list(items_of(sheet.tables["figures"]))
    assert [text for text in figures if CODE in text or text == "Model"] == [
        "Model",
        f"{CODE} without",
        f"{CODE} with the model",
    ]
    assert figures[figures.index(f"{CODE} without") + 2].startswith("0.000")
    assert figures[figures.index(f"{CODE} with the model") + 2].startswith("1.000")
    assert "always came second" in sheet.said.text
    sheet.tabs.setCurrentIndex(1)
    desk.wait(lambda: sheet.figures.curves[0].plot is not None)
    assert [row.caller.aided for row, _ in marked(sheet.figures.curves[0]._results.rows)] == [False, True]
    sheet.reject()


def test_an_answer_can_be_changed_in_its_part_by_going_back_and_not_after_the_part_is_closed(desk: Desk) -> None:
    desk.make(chunk_cases=2)
    reading = desk.sit_down()
    desk.begin()
    first = reading.case
    desk.press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert reading.case == first  # nothing was chosen: nothing is saved
    assert reading.answer.missing.text()
    desk.say(Qt.Key.Key_F6)
    desk.wait(lambda: reading.case != first)
    desk.wait_for_case()
    assert reading.progress_label.text() == "2 of 2 in this part"
    desk.press(Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    desk.wait(lambda: reading.case == first)
    desk.wait_for_case()
    assert reading.answer.answer is not None
    assert reading.answer.answer.yes == (True, False, False)
    desk.say(Qt.Key.Key_F8)
    desk.wait(lambda: reading.case != first)
    desk.wait_for_case()
    desk.say(Qt.Key.Key_F6)
    desk.wait(lambda: reading.standing.step is Step.MAY_CLOSE)
    desk.press(Qt.Key.Key_Return)
    desk.begin()
    for _ in range(3):
        desk.press(Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    assert reading.case not in (first, "")
    assert "closed" in reading.said.text()
    desk.stand_up()

    kept = desk.state.session(CODE, 1).readings[0]
    assert kept.answer is not None
    assert (kept.case, kept.answer.yes, kept.changed) == (first, (False, False, True), True)


def test_a_killed_program_goes_on_with_the_same_case_and_every_answer(
    folder: Path, open_window: Callable[..., MainWindow], qtbot: QtBot
) -> None:
    script = Path(__file__).with_name("reader_study_child.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    child = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout is not None
    first, second = child.stdout.readline().split()
    child.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
    child.wait()
    child.stdout.close()

    desk = desk_at(open_window(), qtbot)
    desk.wait(lambda: desk.studies.open_study is not None)
    desk.sit_down()

    assert desk.wait_for_case() == second
    assert desk.reading.answer.answer is None  # what was only chosen was no answer
    kept = desk.reading.session.readings[0]
    assert kept.answer is not None
    assert (kept.case, kept.answer.yes) == (first, (False, False, True))
    assert kept.seconds >= 0.2
    desk.stand_up()


def test_time_stands_still_while_another_window_is_in_front_and_a_long_rest_is_cut(desk: Desk) -> None:
    desk.make(chunk_cases=3)
    reading = desk.sit_down()
    now = [1000.0]
    reading._clock._now_s = lambda: now[0]
    desk.begin()
    assert reading._clock.runs
    now[0] += 10
    other = QWidget()
    other.show()
    other.activateWindow()
    desk.wait(lambda: not reading.isActiveWindow())
    now[0] += 500
    other.close()
    reading.activateWindow()
    desk.wait(lambda: reading._clock.runs)
    now[0] += 200
    desk.say(Qt.Key.Key_F6)
    desk.wait(lambda: bool(reading.session.readings[0].answer))

    kept = reading.session.readings[0]
    assert (kept.seconds, kept.idle_cut) == (70.0, True)
    desk.stand_up()


def test_the_second_session_waits_and_begins_earlier_only_with_a_reason(desk: Desk) -> None:
    desk.make(washout_days=28, chunk_cases=3)
    read_session(desk, lambda _: Qt.Key.Key_F6)
    reading = desk.sit_down()
    begin = reading.page.buttons["begin"]
    assert not begin.isEnabled()

    reading.page.reason.setText("The reader leaves")
    begin.click()
    desk.wait_for_case()
    desk.stand_up()

    assert desk.state.session(CODE, 2).early_because == "The reader leaves"


def test_a_pause_cannot_be_skipped(desk: Desk) -> None:
    desk.make(pause_minutes=5)
    reading = desk.sit_down()
    desk.begin()
    for _ in range(2):
        case = desk.wait_for_case()
        desk.say(Qt.Key.Key_F6)
        desk.wait(lambda case=case: reading.case != case)
    desk.press(Qt.Key.Key_Return)
    desk.wait(lambda: "begin" in reading.page.buttons)
    assert not reading.page.buttons["begin"].isEnabled()
    reading._chosen("begin")  # as no button can
    assert reading.case == ""
    now = reading.context.now
    reading.context = replace(reading.context, now=lambda: now() + timedelta(minutes=5))

    def may_begin() -> bool:
        return reading.page.buttons["begin"].isEnabled()  # another button by then

    desk.wait(may_begin)
    desk.stand_up()


def test_when_answers_cannot_be_kept_the_reading_stops_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.make()
    reading = desk.sit_down()
    desk.begin()

    def full(*_: Any) -> None:
        raise HistoryError("The disk is full.")

    monkeypatch.setattr(desk.context.running.history, "add_reader_study_events", full)
    desk.say(Qt.Key.Key_F6)
    desk.wait(lambda: reading.pages.currentWidget() is reading.page)

    assert "The disk is full." in reading.page.text.text()
    monkeypatch.undo()
    desk.stand_up()


def test_results_are_shown_early_only_by_somebody_who_says_why(desk: Desk) -> None:
    desk.make()
    desk.studies.ask_to_unblind()
    sheet = desk.window.findChildren(UnblindSheet)[0]
    sheet.by.setText("AB")
    save = sheet.buttons.buttons()[0]
    assert not save.isEnabled()
    sheet.why.setText("The grant ends")
    save.click()

    desk.wait(desk.studies.buttons["results"].isEnabled)
    assert desk.state.unblinded is not None
    assert desk.state.unblinded.details == {"by": "AB", "why": "The grant ends"}
    assert "The grant ends" in desk.studies.lines.text


def test_the_sheet_makes_the_study_that_was_laid_down(desk: Desk, tmp_path: Path) -> None:
    rows = {row.patient_name: row for row in desk.context.reading.rows()}
    table = tmp_path / "labels.csv"
    lines = [f"{rows[name].patient_id},{label}" for name, label in zip(NAMES, ("covid", "nca", "normal"), strict=True)]
    table.write_text("\n".join(["patient_id,label", *lines]))
    desk.studies.ask_for_study()
    sheet = desk.window.findChildren(StudySheet)[0]
    save = sheet.buttons.buttons()[0]
    assert not save.isEnabled()
    sheet.name.setText("Winter")
    sheet.cases.take_table(table)
    desk.wait(lambda: len(sheet.cases.chosen) == 3)
    sheet.rules.sequential.setChecked(True)
    item = sheet.cases.list.item(1, 0)
    assert item is not None
    item.setCheckState(Qt.CheckState.Unchecked)
    desk.wait(save.isEnabled)
    save.click()

    desk.wait(lambda: desk.studies.open_study is not None)
    design = desk.state.design
    assert (design.name, len(design.cases), len(design.readers), design.sequential) == ("Winter", 2, 4, True)
    assert (design.washout_days, design.chunk_cases, design.chunk_minutes) == (28, 20, 30)


def test_closing_the_program_closes_the_reading_and_keeps_where_it_was(
    folder: Path, open_window: Callable[..., MainWindow], qtbot: QtBot
) -> None:
    desk = desk_at(open_window(), qtbot)
    desk.make()
    reading = desk.sit_down()
    desk.begin()
    case = reading.case
    QTest.qWait(120)

    desk.window.close()

    assert desk.studies.reading is None
    assert not desk.window.isVisible()
    again = desk_at(open_window(), qtbot)
    again.wait(lambda: again.studies.open_study is not None)
    kept = again.state.session(CODE, 1).readings[0]
    assert kept.case == case
    assert kept.seconds > 0.1
