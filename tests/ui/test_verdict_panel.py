from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QPlainTextEdit, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.lanes import Standing, standing_of
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.store import History
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.keys import KeyRouter
from aicorona_desktop.ui.recorder import recorder_of
from aicorona_desktop.ui.verdict_panel import ACTIONS, IMPRESSIONS, VerdictPanel
from tests.history import made_up
from tests.ui.panel_parts import a_pack, cams_of, context_over, hashed, recorded, score_of

STUDY = hashed(made_up.study(slices=12))
UID = STUDY.study_instance_uid
OTHER = hashed(made_up.study("4.5.6", slices=12))


class Room:
    """A verdict panel on the screen, with the share of slices that the viewer would tell."""

    def __init__(self, context: Context, qtbot: QtBot) -> None:
        self.context, self.qtbot, self.share = context, qtbot, 1.0
        self.host = QWidget()
        qtbot.addWidget(self.host)
        self.panel = VerdictPanel(context, lambda: self.share, self.host)
        self.said: list[str] = []
        self.panel.say.connect(self.said.append)
        self.host.resize(380, 560)
        self.panel.resize(380, 560)
        self.host.show()

    @property
    def history(self) -> History:
        return self.context.running.history

    def open(self, uid: str = UID) -> None:
        self.panel.show_study(uid)
        self.qtbot.waitUntil(lambda: self.panel._facts is not None, timeout=5000)

    def do(self, name: str) -> None:
        self.context.actions.ask(f"viewer.{name}")

    def settle(self, verdicts: int, taken_back: int = 0) -> None:
        """Wait until the history has this many verdicts and the panel has read them."""

        def is_there() -> bool:
            facts = self.panel._facts
            return facts is not None and len(facts.verdicts) == verdicts and self._taken_back() == taken_back

        self.qtbot.waitUntil(is_there, timeout=5000)

    def _taken_back(self) -> int:
        assert self.panel._facts is not None
        return sum(one.taken_back for one in self.panel._facts.verdicts)


@pytest.fixture
def context(tmp_path: Path, qapp: object) -> Iterator[Context]:
    with context_over(tmp_path, a_pack()) as bare:
        context = replace(bare, identities=Identities(b"k" * 32))
        for study in (STUDY, OTHER):
            recorded(bare.running.history, study, score_of(study, a_pack(), cams_of(6)))
        yield context


@pytest.fixture
def room(context: Context, qtbot: QtBot) -> Room:
    return Room(context, qtbot)


def test_nothing_is_chosen_beforehand_and_nothing_can_be_saved_before_something_is(room: Room):
    room.open()

    assert (room.panel.impression.key, room.panel.action.key, room.panel.co_rads.currentData()) == ("", "", None)
    assert not room.panel.save.isEnabled()
    room.do("save_verdict")
    assert room.said == ["Choose an impression or an action first."]
    assert room.history.verdicts(UID) == ()


def test_a_saved_answer_is_in_the_history_with_the_score_it_was_given_beside(room: Room):
    room.open()
    room.panel.impression.button("covid").click()
    room.panel.action.button("now").click()
    room.panel.co_rads.setCurrentIndex(5)
    room.panel.note.setPlainText("both bases")
    room.do("save_verdict")
    room.settle(1)

    (said,) = room.history.verdicts(UID)
    assert (said.impression, said.action, said.co_rads, said.note) == ("covid", "now", 4, "both bases")
    assert (said.initials, said.slices_seen) == ("AB", 1.0)
    result = room.history.result(UID)
    assert result is not None
    assert said.result == result.number
    assert "COVID-19 pattern, show a doctor now, CO-RADS 4, “both bases”, AB" in room.panel.standing.text


def test_f8_moves_the_study_to_those_that_need_a_person_once_it_is_saved(room: Room):
    room.open()
    room.do("cannot_judge")
    assert room.history.verdicts(UID) == ()
    room.do("save_verdict")
    room.settle(1)

    row = room.history.row(UID)
    assert row is not None
    assert standing_of(row) is Standing.NEEDS_PERSON


def test_a_correction_is_another_entry_and_undo_takes_it_back_with_both_kept(room: Room):
    room.open()
    room.do("action_routine")
    room.do("save_verdict")
    room.settle(1)
    assert room.panel.action.key == "routine"  # one's own answer stays in the form
    room.do("action_now")
    room.do("save_verdict")
    room.settle(2)

    room.context.undo.undo()
    room.settle(2, taken_back=1)

    first, second = room.history.verdicts(UID)
    assert (first.taken_back, second.taken_back, second.taken_back_by) == (False, True, "AB")
    assert room.panel.action.key == "routine"
    room.context.undo.redo()
    room.settle(3, taken_back=1)
    assert [one.action for one in room.history.verdicts(UID)] == ["routine", "now", "now"]


def test_another_persons_answer_is_told_but_never_filled_in(room: Room):
    room.history.save_verdict(UID, impression="cp", initials="ZZ")
    room.open()

    assert room.panel.impression.key == ""
    assert "other abnormality, ZZ" in room.panel.standing.text

    room.panel.initials.setText("zz")
    assert room.panel.impression.key == "cp"
    room.panel.initials.setText("AB")
    assert room.panel.impression.key == ""


def test_where_impression_and_model_differ_one_quiet_line_says_so_after_saving(room: Room):
    row = room.history.row(UID)
    assert row is not None
    assert row.probabilities is not None
    answer = IMPRESSIONS[row.probabilities.index(max(row.probabilities))]
    other = next(one for one in ("normal", "cp", "covid") if one != answer)
    room.open()
    room.panel.impression.button(other).click()
    assert "differ" not in room.panel.standing.text
    room.do("save_verdict")
    room.settle(1)
    assert "You and the model differ. Both are kept." in room.panel.standing.text

    room.panel.impression.button(answer).click()
    room.do("save_verdict")
    room.settle(2)
    assert "differ" not in room.panel.standing.text


def test_slices_that_were_not_seen_are_noted_and_block_nothing(room: Room):
    room.share = 0.629
    room.open()
    assert room.panel.seen.text() == "62 % of slices seen"
    room.panel.impression.button("normal").click()
    room.do("save_verdict")
    room.settle(1)

    assert room.history.verdicts(UID)[0].slices_seen == pytest.approx(0.629)
    assert "62 % of slices seen" in room.panel.standing.text
    room.share = 0.8
    room.panel.slices_changed()
    assert room.panel.seen.isHidden()


def test_an_answer_without_initials_waits_for_them_and_they_are_remembered(room: Room):
    room.open()
    room.panel.initials.clear()
    room.panel.impression.button("normal").click()
    room.do("save_verdict")
    assert room.said == ["Give your initials first."]

    room.panel.initials.setText("KL")
    room.do("save_verdict")
    room.settle(1)
    assert room.history.verdicts(UID)[0].initials == "KL"
    assert room.context.user.value.initials == "KL"


def test_what_was_not_saved_is_said_and_waits_with_its_study(room: Room):
    room.open()
    room.panel.impression.button("cp").click()
    room.open(OTHER.study_instance_uid)

    assert room.panel.impression.key == ""
    assert "not saved" in room.said[0]
    room.open(UID)
    assert room.panel.impression.key == "cp"
    assert "Not saved yet." in room.panel.standing.text
    assert room.history.verdicts(UID) == ()


def test_with_hidden_names_the_code_and_the_time_are_repeated_and_no_name_is(room: Room):
    room.open()
    assert room.panel.who.isHidden()

    room.context.identities.hide(True)

    code = room.context.identities.code(f"ID-{UID}")
    assert code in room.panel.who.text()
    assert "2026-11-22" in room.panel.who.text()
    assert "Doe" not in room.panel.who.text()
    assert not room.panel.who.isHidden()


def test_look_first_says_that_the_score_is_covered_until_the_impression_is_saved(room: Room):
    room.context.site.value = Settings(look_first=True)
    room.open()
    assert "Look first" in room.panel.notice.text()

    room.panel.impression.button("normal").click()
    room.do("save_verdict")
    room.settle(1)

    assert room.panel.notice.isHidden()


def test_an_answer_is_not_lost_when_the_program_ends_before_it_had_its_turn(room: Room):
    room.open()
    room.panel.impression.button("normal").click()
    room.context.jobs.close(5)  # nothing is done in a lane any more
    room.do("save_verdict")
    assert room.history.verdicts(UID) == ()

    recorder_of(room.context).finish()

    assert [one.impression for one in room.history.verdicts(UID)] == ["normal"]


def test_every_answer_is_reached_by_tab_and_has_a_name(room: Room):
    room.open()
    room.panel.impression.button("covid").click()
    kinds = (QAbstractButton, QLineEdit, QPlainTextEdit, QComboBox)
    fields = [
        one for kind in kinds for one in room.panel.findChildren(kind) if one.objectName() != "qt_spinbox_lineedit"
    ]
    reached, start = set(), room.panel.impression.button("normal")
    start.setFocus()
    for _ in range(40):
        focus = QApplication.focusWidget()
        reached.add(focus)
        focus.focusNextChild()

    assert {room.panel.impression.button(one) for one in IMPRESSIONS} <= reached
    assert {room.panel.action.button(one) for one in ACTIONS} <= reached
    assert {room.panel.co_rads, room.panel.note, room.panel.initials, room.panel.save, room.panel.tell} <= reached
    assert [one for one in fields if one.isVisible() and not (one.accessibleName() or one.text())] == []


def test_ctrl_enter_saves_from_within_the_note(room: Room):
    router = KeyRouter(room.host, room.context.actions, lambda: "viewer")
    room.open()
    room.host.activateWindow()
    room.panel.note.setFocus()
    room.panel.note.setPlainText("seen in the night")
    room.panel.action.button("routine").click()
    room.panel.note.setFocus()
    press = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier, "\r")
    QApplication.sendEvent(room.panel.note, press)
    room.settle(1)
    router.end()

    assert room.history.verdicts(UID)[0].note == "seen in the night"


def test_who_was_told_is_recorded_and_can_be_taken_back(room: Room):
    room.open()
    room.panel.tell.click()
    (dialog,) = [one for one in QApplication.topLevelWidgets() if type(one).__name__ == "EscalationDialog"]
    dialog.told.setText("Dr Silva")
    dialog.note.setPlainText("by telephone")
    dialog.accept()
    room.qtbot.waitUntil(lambda: "Dr Silva, by telephone, AB" in room.panel.told.text, timeout=5000)

    room.context.undo.undo()

    room.qtbot.waitUntil(lambda: "Taken back: Dr Silva" in room.panel.told.text, timeout=5000)
    assert [one.taken_back for one in room.history.escalations(UID)] == [True]


# --- not saved -----------------------------------------------------------------------------------------------------


def test_what_was_not_saved_comes_back_to_its_writer_after_the_program_has_ended(
    context: Context, room: Room, qtbot: QtBot
) -> None:
    room.open()
    room.panel.initials.setText("AB")
    room.panel.impression.button("covid").click()
    room.panel.note.setPlainText("Left base?")
    room.panel.end()

    again = Room(context, qtbot)
    again.panel.initials.setText("AB")
    again.open()

    assert (again.panel.answer.impression, again.panel.answer.note) == ("covid", "Left base?")
    assert "Not saved yet" in again.panel.standing.text
    assert room.history.verdicts(UID) == ()
    again.panel.initials.setText("CD")  # of what stands on the screen unsaved, whoever signs is the writer
    again.panel.end()
    other = Room(context, qtbot)
    other.panel.initials.setText("AB")
    other.open()
    assert not other.panel.answer.says_something


def test_a_saved_answer_leaves_no_draft_behind(context: Context, room: Room, qtbot: QtBot, tmp_path: Path) -> None:
    room.open()
    room.panel.initials.setText("AB")
    room.panel.impression.button("normal").click()
    room.panel.save_answer()
    room.settle(1)
    room.panel.end()

    assert json.loads((tmp_path / "drafts.json").read_text())["drafts"] == []


def test_drafts_that_can_not_be_read_are_none(context: Context, qtbot: QtBot, tmp_path: Path) -> None:
    (tmp_path / "drafts.json").write_text('{"drafts": [1, {"study": "1.2.3", "by": "AB", "impression": 5}]}')

    room = Room(context, qtbot)
    room.panel.initials.setText("AB")
    room.open()

    assert not room.panel.answer.says_something
