"""The list under the hand of a user: it never moves by itself while it is touched, and every state says what it is."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QToolButton

from aicorona_desktop.core.events import StudySeen, Verified, WatchState
from aicorona_desktop.core.rows import Lane
from aicorona_desktop.core.settings import Order, Settings
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.ui.worklist_live import Quiet
from aicorona_desktop.ui.worklist_model import COLUMNS
from aicorona_desktop.ui.worklist_parts import NoteSheet
from aicorona_desktop.ui.worklist_place import SORTED_BY, WorklistPlace
from aicorona_desktop.ui.worklist_view import Spot
from aicorona_desktop.ui.worklist_words import Column
from tests.history.made_up import NOW
from tests.history.many import Made, fill
from tests.ui.worklist_parts import (
    NO_CHEST,
    context_of,
    lines_of,
    place_over,
    read,
    refreshed,
    scored,
    unscored,
    wait_until,
)

DAY = [
    scored("low", 0.2),
    scored("high", 0.8, name="Müller^Anna"),
    scored("middle", 0.5),
    scored("late", 0.1, minutes=75),
    unscored("odd"),
    unscored("head", finding=NO_CHEST),
    read("done", 0.9),
]
IN_ORDER = ["odd", "late", "high", "middle", "low"]


@pytest.fixture
def open_list(qtbot, tmp_path):
    """Opens the list over some studies; pointer outside, no key pressed for long."""
    with ExitStack() as stack:

        def opened(studies=DAY, **wishes) -> WorklistPlace:
            context = stack.enter_context(context_of(tmp_path, studies, **wishes))
            place = stack.enter_context(place_over(context))
            place.live._quiet.last_key_s = -1e9
            return place

        yield opened


def studies_of(place: WorklistPlace) -> list[str]:
    """The studies that are drawn, from top to bottom."""
    rows = (
        place.model.row_at(number) for number in range(place.model.rowCount()) if place.model.line(number).detail < 0
    )
    return [row.study_instance_uid for row in rows if row]


def arrives(place: WorklistPlace, *studies: Made) -> None:
    """Let studies arrive, and the list hear of it."""
    fill(place.context.running.history, studies)
    refreshed(place)


def trigger(place: WorklistPlace, name: str) -> None:
    place.context.actions[f"worklist.{name}"].trigger()


def at(place: WorklistPlace, uid: str, column: Column = Column.IDENTITY) -> QPoint:
    """The middle of a cell."""
    index = place.model.index(place.model.line_of(uid), COLUMNS.index(column))
    return place.view.visualRect(index).center()


def y_of(place: WorklistPlace, uid: str) -> int:
    return at(place, uid).y()


@pytest.fixture
def hand_on_list(monkeypatch):
    """The pointer rests over the list."""
    from aicorona_desktop.ui.worklist_view import WorklistView

    monkeypatch.setattr(WorklistView, "is_pointed_at", property(lambda _: True))


# --- order --------------------------------------------------------------------------------------------------------


def test_lanes_stand_from_top_to_bottom_and_the_last_two_are_folded(open_list):
    place = open_list()

    assert lines_of(place) == [
        "Needs a person (1)",
        "odd",
        "Overdue (1)",
        "late",
        "Ranked (3)",
        "high",
        "middle",
        "low",
        "Read (1)",
        "Not for this tool (1)",
    ]


def test_quiet_is_when_no_pointer_no_button_and_no_key_was_there_for_three_seconds():
    quiet = Quiet()
    quiet.key_pressed(100)

    assert not quiet.is_quiet(102.9, pointed_at=False, held=False)
    assert quiet.is_quiet(103, pointed_at=False, held=False)
    assert not quiet.is_quiet(200, pointed_at=True, held=False)
    assert not quiet.is_quiet(200, pointed_at=False, held=True)


def test_a_new_study_is_drawn_at_once_while_the_hand_is_off_the_list(open_list):
    place = open_list()

    arrives(place, scored("newest", 0.95))

    assert studies_of(place) == ["odd", "late", "newest", "high", "middle", "low"]
    assert not place.pill.isVisible()


def test_under_the_pointer_the_order_waits_and_a_pill_says_what_changed(open_list, hand_on_list):
    place = open_list()
    place.go_to("middle")

    arrives(place, scored("newest", 0.95), scored("faint", 0.01))

    assert studies_of(place) == IN_ORDER
    assert place.pill.isVisible()
    assert place.pill.text() == "2 new, 1 above"

    QTest.mouseClick(place.pill, Qt.MouseButton.LeftButton)
    wait_until(lambda: "newest" in studies_of(place))
    assert studies_of(place) == ["odd", "late", "newest", "high", "middle", "low", "faint"]
    assert not place.pill.isVisible()


def test_after_a_key_the_order_waits_until_three_seconds_have_passed(open_list, monkeypatch):
    place = open_list()
    clock = SimpleNamespace(now=1000.0)
    place.live._clock = lambda: clock.now
    place.context.actions.ask("worklist.down")

    arrives(place, scored("newest", 0.95))
    assert studies_of(place) == IN_ORDER

    clock.now += 2.9
    place.live.look()
    assert studies_of(place) == IN_ORDER

    clock.now += 0.1
    place.live.look()
    assert studies_of(place) == ["odd", "late", "newest", "high", "middle", "low"]


def test_f5_applies_the_order_under_the_pointer(open_list, hand_on_list):
    place = open_list()
    arrives(place, scored("newest", 0.95))

    place.context.actions["refresh"].trigger()

    wait_until(lambda: "newest" in studies_of(place))


def test_the_current_row_keeps_its_place_on_the_screen(open_list):
    studies = [scored(f"s{number:03}", 0.5 - number / 1000) for number in range(200)]
    place = open_list(studies)
    place.go_to("s100")
    wait_until(lambda: "s100" in place.view.visible_uids())
    before = y_of(place, "s100")
    place.view.verticalScrollBar().setValue(place.view.verticalScrollBar().value() + 5)
    assert y_of(place, "s100") == before - 5

    arrives(place, *(scored(f"top{number}", 0.9 + number / 1000) for number in range(7)))

    assert place.model.line_of("top0") is not None
    assert y_of(place, "s100") == before - 5
    assert place.view.current_uid == "s100"
    assert place.view.currentIndex().row() == place.model.line_of("s100")


def test_without_a_current_row_in_sight_the_first_one_in_sight_stays(open_list):
    studies = [scored(f"s{number:03}", 0.5 - number / 1000) for number in range(200)]
    place = open_list(studies)
    place.view.verticalScrollBar().setValue(60 * place.view.height_of_line)
    first = next(iter(sorted(place.view.visible_uids())))
    wait_until(lambda: len(place.view.visible_uids()) > 10)
    before = y_of(place, first)

    arrives(place, scored("top", 0.9))

    assert y_of(place, first) == before


def test_a_score_that_comes_in_changes_its_row_while_the_order_waits(open_list, hand_on_list):
    place = open_list([scored("a", 0.6), scored("b", 0.5), scored("c", 0.4), scored("d", 0.3)])
    with place.context.running.history._transaction() as connection:
        connection.execute(
            "UPDATE study SET read_at = '2026-11-23T07:59:00.000000+00:00' WHERE study_instance_uid = 'b'"
        )
        from aicorona_desktop.history import standing

        standing.settle(connection, 2)

    refreshed(place)

    assert studies_of(place) == ["a", "b", "c", "d"]
    assert place.model.row_of("b").read_at is not None
    assert place.pill.text() == "Order changed"


def test_a_study_becomes_overdue_as_time_goes_by(open_list):
    place = open_list()

    place.context.now.time = NOW + timedelta(minutes=51)
    refreshed(place)

    assert lines_of(place)[2:7] == ["Overdue (4)", "late", "high", "low", "middle"]


def test_a_study_that_was_read_stays_in_place_until_the_list_is_entered_again(open_list):
    place = open_list()
    place.leave()
    place.context.running.history.save_verdict("high", impression="covid", initials="AB")
    refreshed(place)
    assert studies_of(place) == IN_ORDER

    place.enter()

    wait_until(lambda: "high" not in studies_of(place))


def test_news_of_the_engine_let_the_list_be_read(open_list):
    place = open_list()
    fill(place.context.running.history, [scored("newest", 0.95)])

    place.context.bridge(StudySeen("newest"))

    wait_until(lambda: "newest" in studies_of(place))


# --- the mouse ----------------------------------------------------------------------------------------------------


def test_the_list_never_moves_under_a_pressed_button_and_the_click_is_about_the_row_that_was_drawn(open_list):
    place = open_list()
    viewport, point = place.view.viewport(), at(place, "middle")
    opened: list[str] = []
    place.open_study.connect(opened.append)

    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=point)
    place.live._quiet.last_key_s = -1e9
    arrives(place, scored("newest", 0.95))
    assert studies_of(place) == IN_ORDER
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=point)

    assert place.view.current_uid == "middle"


def test_a_double_click_opens_the_row_that_was_drawn_when_the_button_first_went_down(open_list):
    place = open_list()
    viewport, point = place.view.viewport(), at(place, "middle")
    opened: list[str] = []
    place.open_study.connect(opened.append)

    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=point)
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=point)
    fill(place.context.running.history, [scored("newest", 0.95)])
    place.live.apply()
    wait_until(lambda: "newest" in studies_of(place))
    place.view.verticalScrollBar().setValue(0)
    assert place.model.row_at(place.view.indexAt(point).row()).study_instance_uid == "high"
    QTest.mouseDClick(viewport, Qt.MouseButton.LeftButton, pos=point)

    assert opened == ["middle"]


def test_a_pointer_that_moves_with_the_button_down_selects_nothing_else(open_list):
    place = open_list()
    viewport = place.view.viewport()

    QTest.mousePress(viewport, Qt.MouseButton.LeftButton, pos=at(place, "high"))
    QTest.mouseMove(viewport, at(place, "low"))
    QTest.mouseRelease(viewport, Qt.MouseButton.LeftButton, pos=at(place, "low"))

    assert place.view.current_uid == "high"


def test_a_click_on_a_heading_folds_its_lane(open_list):
    place = open_list()
    heading = place.view.visualRect(place.model.index(place.model.lines.heading(Lane.RANKED), 1)).center()

    QTest.mouseClick(place.view.viewport(), Qt.MouseButton.LeftButton, pos=heading)
    assert studies_of(place) == ["odd", "late"]

    QTest.mouseClick(place.view.viewport(), Qt.MouseButton.LeftButton, pos=heading)
    assert studies_of(place) == IN_ORDER


def test_a_click_on_the_notes_folds_a_row_out(open_list):
    place = open_list()

    QTest.mouseClick(place.view.viewport(), Qt.MouseButton.LeftButton, pos=at(place, "odd", Column.NOTES))

    assert place.model.is_unfolded("odd")
    assert lines_of(place)[2].startswith("Why is it here? There are too few slices")


# --- keys ---------------------------------------------------------------------------------------------------------


def test_keys_move_through_headings_and_studies_and_past_fold_outs(open_list):
    place = open_list()
    trigger(place, "first")
    assert place.view.current_spot == Spot(lane=Lane.NEEDS_PERSON)

    trigger(place, "down")
    trigger(place, "unfold")
    assert place.model.is_unfolded("odd")
    trigger(place, "down")
    assert place.view.current_spot == Spot(lane=Lane.OVERDUE)
    trigger(place, "up")
    assert place.view.current_uid == "odd"
    trigger(place, "fold")
    assert not place.model.is_unfolded("odd")
    trigger(place, "fold")
    assert place.view.current_spot == Spot(lane=Lane.NEEDS_PERSON)
    trigger(place, "last")
    assert place.view.current_spot == Spot(lane=Lane.NOT_FOR_TOOL)


def test_right_and_left_unfold_and_fold_a_lane(open_list):
    place = open_list()
    trigger(place, "last")

    trigger(place, "unfold")
    wait_until(lambda: "head" in studies_of(place))
    trigger(place, "fold")

    assert "head" not in studies_of(place)


def test_n_goes_through_the_unread_studies_in_order_and_says_so_at_the_end(open_list):
    place = open_list()
    said: list[str] = []
    place.say.connect(said.append)
    seen = []
    for _ in IN_ORDER:
        trigger(place, "next_unread")
        seen.append(place.view.current_uid)

    assert seen == IN_ORDER
    trigger(place, "next_unread")
    assert place.view.current_uid == "low"
    assert said == ["There is no other unread study in this direction."]
    trigger(place, "previous_unread")
    assert place.view.current_uid == "middle"


def test_enter_opens_the_current_study(open_list):
    place = open_list()
    opened: list[str] = []
    place.open_study.connect(opened.append)
    place.go_to("low")

    trigger(place, "open")

    assert opened == ["low"]


def test_the_viewer_is_told_the_neighbours_and_the_next_unread_study(open_list):
    place = open_list()

    assert [place.neighbour("high", by) for by in (-1, 1)] == ["late", "middle"]
    assert place.neighbour("low", 1) == ""
    assert place.next_unread("high") == "middle"
    assert place.next_unread("low") == "odd"


def test_p_pins_and_undo_lets_go(open_list):
    place = open_list()
    place.go_to("low")

    trigger(place, "pin")
    wait_until(lambda: place.context.reading.row("low").pinned)
    place.context.undo.undo()
    wait_until(lambda: not place.context.reading.row("low").pinned)

    assert [one.event for one in place.context.reading.trail("low")] == ["pinned", "unpinned"]


def test_del_takes_the_row_off_the_list_and_undo_puts_it_back(open_list):
    place = open_list()
    place.go_to("middle")

    trigger(place, "remove")
    wait_until(lambda: "middle" not in studies_of(place))
    assert place.view.current_uid == "low"
    assert place.banner.removed.text() == "1 removed"
    assert place.context.reading.row("middle") is not None
    place.context.undo.undo()

    wait_until(lambda: "middle" in studies_of(place))
    assert place.view.current_uid == "middle"


def test_f2_writes_a_note_that_can_be_taken_back(open_list):
    place = open_list()
    place.go_to("low")
    trigger(place, "note")
    sheet = place.findChild(NoteSheet)
    assert not sheet.save.isEnabled()
    sheet.findChild(QPlainTextEdit).setPlainText("Ask for the prior.")

    sheet.accept()

    wait_until(lambda: place.context.reading.row("low").note == "Ask for the prior.")
    place.context.undo.undo()
    wait_until(lambda: place.context.reading.row("low").note == "")


def test_r_compares_a_score_that_stands_and_scores_what_has_none(open_list):
    place = open_list()
    said: list[str] = []
    place.say.connect(said.append)
    for uid in ("low", "odd"):
        place.go_to(uid)
        trigger(place, "score_again")

    assert place.context.running.engine.asked == [("verify", "low"), ("score_again", "odd", "AB")]
    place.context.bridge(Verified("low", "identical", 0.0, "The same score."))
    wait_until(lambda: said[-1] == "The same score.")


def test_ctrl_c_copies_the_row_without_identity(open_list):
    place = open_list()
    place.go_to("high")

    trigger(place, "copy_row")

    text = QGuiApplication.clipboard().text()
    assert "80" in text
    assert "Anna" not in text


def test_a_history_open_for_reading_only_greys_what_would_write_and_says_why(open_list):
    place = open_list(writable=False)

    for name in ("pin", "remove", "note", "score_again", "score_now"):
        action = place.context.actions[f"worklist.{name}"]
        assert not action.isEnabled()
        assert "for reading only" in action.toolTip()
    assert studies_of(place) == IN_ORDER


# --- sorting and filters ------------------------------------------------------------------------------------------


def test_a_column_sorts_everything_and_says_so_until_it_is_undone(open_list):
    place = open_list()
    header = place.view.horizontalHeader()

    header.sectionClicked.emit(COLUMNS.index(Column.SCORE))
    wait_until(lambda: place.model.snapshot.is_sorted)

    assert studies_of(place)[:5] == ["done", "high", "middle", "low", "late"]
    assert place.banner.text.text() == "Sorted by Model score (COVID-19)."
    header.sectionClicked.emit(COLUMNS.index(Column.SCORE))
    wait_until(lambda: studies_of(place)[-5:] == ["late", "low", "middle", "high", "done"])

    place.banner.button.click()
    wait_until(lambda: not place.model.snapshot.is_sorted)
    assert studies_of(place) == IN_ORDER
    assert place.banner.isHidden()


def test_every_column_that_can_be_sorted_has_its_name_in_the_sentence(open_list):
    place = open_list()
    for column in SORTED_BY:
        place.view.horizontalHeader().sectionClicked.emit(COLUMNS.index(column))
        wait_until(lambda: place.model.snapshot.asked.sort == place._sort)
        assert place.banner.text.text().startswith("Sorted by ")
        assert place.model.rowCount() == 7


def test_a_lock_ends_the_sorting(open_list):
    place = open_list()
    place.view.horizontalHeader().sectionClicked.emit(COLUMNS.index(Column.IDENTITY))
    wait_until(lambda: place.model.snapshot.is_sorted)

    place.context.actions["lock"].trigger()

    wait_until(lambda: not place.model.snapshot.is_sorted)


def test_search_finds_names_in_every_lane_and_says_when_nothing_matches(open_list):
    place = open_list([*DAY, read("old", 0.3)])
    place.filters.search.setText("anna")
    wait_until(lambda: studies_of(place) == ["high"])
    assert place.banner.text.text() == "1 of 8 studies shown."

    place.filters.search.setText("ct 12")
    wait_until(lambda: place.stack.currentWidget() is place.nothing_found)
    assert place.nothing_found.text.text() == "0 of 8 studies match “ct 12”."

    QTest.mouseClick(place.nothing_found.clear, Qt.MouseButton.LeftButton)
    wait_until(lambda: place.stack.currentWidget() is place.view)
    assert studies_of(place) == IN_ORDER


@pytest.mark.parametrize(
    ("chip", "found"),
    [
        ("unread", {"odd", "late", "high", "middle", "low", "head", "wobbly", "thin"}),
        ("doubtful", {"wobbly"}),
        ("unsuitable", {"odd", "head"}),
        ("one_slice", {"thin"}),
        ("differ", {"done"}),
        ("covid_outcome_pcr_negative", set()),
    ],
)
def test_each_chip_shows_what_it_says(open_list, chip, found):
    place = open_list([*DAY, scored("wobbly", 0.5, doubtful=True), scored("thin", 0.5, one_slice=True)])

    place.filters.chips[chip].click()
    wait_until(lambda: place.model.snapshot.is_filtered)

    assert set(studies_of(place)) == found


def test_days_and_ones_own_studies_can_be_asked_for(open_list):
    place = open_list([*DAY, scored("old", 0.4, study_date="2026-11-01")])
    place.filters.set_dates(NOW.date() - timedelta(days=60), NOW.date() - timedelta(days=20))
    wait_until(lambda: studies_of(place) == ["old"])
    assert place.filters.dates.text() == "Date: 2026-09-24 to 2026-11-03"

    place.filters.clear()
    place.filters.mine.click()

    wait_until(lambda: studies_of(place) == ["done"])


def test_esc_goes_back_step_by_step(open_list):
    place = open_list()
    place.filters.search.setText("anna")
    wait_until(lambda: studies_of(place) == ["high"])

    assert place.back()
    wait_until(lambda: studies_of(place) == IN_ORDER)
    assert not place.back()


# --- states -------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_how_studies_get_here(open_list):
    place = open_list([])

    assert place.stack.currentWidget() is place.empty
    assert place.empty.text.text() == (
        "No studies yet. Drop a folder here, import a disc, or choose a folder to watch."
    )
    buttons = [one.text() for one in place.empty.findChildren(QPushButton) if one.isVisible()]
    assert sorted(buttons) == ["Import disc", "Open folder", "Try the demo study", "Watch a folder"]


def test_the_demo_is_written_beside_the_history_and_read(open_list, tmp_path, monkeypatch):
    monkeypatch.setattr("aicorona_desktop.ui.worklist_parts.write_demo", lambda folder: (folder / "1-clear",))
    place = open_list([])

    QTest.mouseClick(place.empty.demo, Qt.MouseButton.LeftButton)

    asked = place.context.running.engine.asked
    wait_until(lambda: bool(asked))
    assert asked == [("submit", (tmp_path / "demo" / "1-clear",), "Demo")]


def test_the_first_study_ends_the_empty_state_even_under_the_pointer(open_list, hand_on_list):
    place = open_list([])

    arrives(place, scored("first", 0.5))

    assert place.stack.currentWidget() is place.view


def test_all_read_is_said_with_how_many_today_and_what_is_watched(open_list):
    place = open_list([read("a", 0.1), read("b", 0.2)])
    place.context.running.engine.folders = (
        SimpleNamespace(state=WatchState.WATCHING),
        SimpleNamespace(state=WatchState.WATCHING),
        SimpleNamespace(state=WatchState.LOST),
    )
    place.context.bridge.sources_changed.emit()

    assert place.banner.text.text() == "All studies are read. 2 today. Watching 2 folders."


def test_few_unread_studies_make_the_order_unimportant_and_the_list_says_so(open_list):
    place = open_list([scored("a", 0.1), scored("b", 0.2), read("c", 0.3)])
    assert place.banner.text.text() == "Order makes little difference now."

    arrives(place, scored("d", 0.4), scored("e", 0.5))

    assert place.banner.isHidden()


def test_another_order_of_the_site_is_said_in_the_heading(open_list):
    place = open_list(site=Settings(order=Order.ARRIVAL))

    assert "Ranked by arrival (3)" in lines_of(place)


def test_hidden_names_are_hidden_in_every_row_at_once(open_list):
    place = open_list()
    cell = place.model.index(place.model.line_of("high"), COLUMNS.index(Column.IDENTITY))
    assert "Anna" in cell.data()

    place.context.identities.hide(True)

    texts = [
        str(place.model.index(line, column).data(role))
        for line in range(place.model.rowCount())
        for column in range(len(COLUMNS))
        for role in (0, Qt.ItemDataRole.AccessibleTextRole, 3)
    ]
    assert not [text for text in texts if "Anna" in text or "Doe" in text or "ID-" in text]


def test_columns_folds_and_the_quick_look_are_remembered_for_the_user(qtbot, tmp_path):
    with context_of(tmp_path, DAY) as context, ExitStack() as stack:
        place = stack.enter_context(place_over(context))
        place.view.setColumnWidth(COLUMNS.index(Column.STATE), 211)
        place.view.show_column(Column.SERIES, False)
        place._fold_lane(Lane.OVERDUE, True)
        place.save_layout()
        kept = context.user.value
    (tmp_path / "again").mkdir()
    with context_of(tmp_path / "again", DAY, user=kept) as context, place_over(context) as place:
        assert place.view.columnWidth(COLUMNS.index(Column.STATE)) == 211
        assert place.view.isColumnHidden(COLUMNS.index(Column.SERIES))
        assert place.model.kept_folds == {Lane.OVERDUE, Lane.READ, Lane.NOT_FOR_TOOL}

        place.reset_layout()

        assert not place.view.isColumnHidden(COLUMNS.index(Column.SERIES))
        assert place.model.kept_folds == {Lane.READ, Lane.NOT_FOR_TOOL}


@pytest.mark.parametrize("percent", [80, 100, 200])
def test_lines_grow_with_the_text_and_nothing_needs_sideways_scrolling(qtbot, tmp_path, percent):
    user = UserSettings(initials="AB", text_percent=percent)
    with context_of(tmp_path, DAY, user=user) as context, place_over(context) as place:
        assert place.view.height_of_line >= max(32, place.view.fontMetrics().height() + 4)
        if percent <= 100:
            assert place.view.horizontalScrollBar().maximum() == 0


def test_every_control_has_an_accessible_name(open_list):
    place = open_list()

    for button in (*place.findChildren(QPushButton), *place.findChildren(QToolButton)):
        if button.objectName() != "qt_toolbar_ext_button" and not button.isHidden():
            assert (
                button.accessibleName() or button.text() or button.toolTip() or button.parent() is place.filters.search
            )


# --- many ---------------------------------------------------------------------------------------------------------


def test_a_long_lane_is_read_where_it_is_looked_at(open_list):
    studies = [scored(f"{number:05}", 1 - number / 3000) for number in range(2500)]
    place = open_list(studies)
    assert place.model.rowCount() == 2501
    assert len(place.model.rows) <= 200

    place.view.verticalScrollBar().setValue(2000 * place.view.height_of_line)

    wait_until(lambda: "02010" in place.view.visible_uids())
    rows = [place.model.row_at(number) for number in range(1995, 2030)]
    assert [row.study_instance_uid for row in rows] == [f"{number:05}" for number in range(1994, 2029)]
    trigger(place, "last")
    wait_until(lambda: "02499" in place.view.visible_uids())
