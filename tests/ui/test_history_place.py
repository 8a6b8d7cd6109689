from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.events import Verified
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.store import Filter, History, OutcomeKind
from aicorona_desktop.ui import history_place
from aicorona_desktop.ui.backups import RestoreDialog, look_at, put_back
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.history_model import HistoryColumn
from aicorona_desktop.ui.history_place import HistoryPlace, TableSheet
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.outcome_dialog import OutcomeDialog
from aicorona_desktop.ui.trail import Kind, compared_text, entries_of, read_trail
from tests.history import made_up
from tests.history.made_up import NOW
from tests.ui.panel_parts import a_pack, cams_of, context_over, hashed, recorded, score_of

STUDY = hashed(made_up.study(slices=12, name="Müller^Ana=山田^花子"))
UID = STUDY.study_instance_uid


class Room:
    """The place on the screen over a real history."""

    def __init__(self, context: Context, qtbot: QtBot) -> None:
        self.context, self.qtbot = context, qtbot
        self.place = HistoryPlace(context)
        qtbot.addWidget(self.place)
        self.said: list[str] = []
        self.place.say.connect(self.said.append)
        self.place.resize(1260, 600)

    @property
    def history(self) -> History:
        return self.context.running.history

    def enter(self) -> HistoryPlace:
        self.place.show()
        self.place.enter()
        self.until(lambda: bool(self.place.count.text()))
        return self.place

    def until(self, holds: Callable[[], bool]) -> None:
        self.qtbot.waitUntil(holds, timeout=5000)

    def names(self) -> list[str]:
        model = self.place.model
        return [model.index(line, 0).data() for line in range(model.rowCount())]

    def chosen(self, uid: str = UID) -> HistoryPlace:
        self.enter()
        self.place.show_study(uid)
        self.until(lambda: self.place.trail is not None and self.place.trail.row.study_instance_uid == uid)
        return self.place

    def choose_entry(self, kind: Kind) -> None:
        for line in range(self.place.list.count()):
            self.place.list.setCurrentRow(line)
            if self.place.entry is not None and self.place.entry.kind is kind:
                return
        raise AssertionError(f"no {kind}")

    def trail_text(self) -> str:
        return "\n".join(self.place.list.item(line).text() for line in range(self.place.list.count()))


@pytest.fixture
def room(tmp_path: Path, qtbot: QtBot) -> Iterator[Room]:
    with context_over(tmp_path, a_pack()) as bare:
        running = SimpleNamespace(**vars(bare.running), place=tmp_path / "history.sqlite")
        context = replace(bare, identities=Identities(b"k" * 32), running=running)  # type: ignore[arg-type]
        for number in range(3):
            bare.running.history.record_received(made_up.study(f"9.{number}", name=f"Other^{number}"))
        recorded(bare.running.history, STUDY, score_of(STUDY, a_pack(), cams_of(6)))
        yield Room(context, qtbot)


def test_every_study_is_listed_newest_first_with_what_is_known_of_it(room: Room):
    place = room.enter()

    assert [name.split("  ")[0].strip("\u2068\u2069") for name in room.names()] == [
        "Müller, Ana (山田, 花子)",
        *("Other, 2", "Other, 1", "Other, 0"),
    ]
    assert place.count.text() == "4 studies"
    spoken = place.model.index(0, 0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert "model score" in spoken
    assert "not read" in spoken


def test_pages_are_read_as_the_list_is_scrolled(room: Room, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history_place, "PAGE", 2)
    place = room.enter()
    place.table.scrollToBottom()
    room.until(lambda: place.model.rowCount() == 4)
    place.table.scrollToBottom()
    QApplication.processEvents()

    assert len(set(room.names())) == 4
    assert place.count.text() == "4 studies"


@pytest.mark.parametrize("text", ["muller", "花子", "id-1.2.3"])
def test_a_search_finds_names_in_any_script(room: Room, text: str):
    place = room.enter()
    place.filters.search.setText(text)
    room.until(lambda: place.model.rowCount() == 1)

    assert place.count.text() == "1 of 4 studies"
    assert place.back()  # clears the filters
    room.until(lambda: place.model.rowCount() == 4)


def test_filters_by_reader_and_outcome_are_asked_of_the_history(room: Room):
    room.history.save_verdict("9.1", impression="normal", initials="KL")
    room.history.record_outcome("9.0", OutcomeKind.RT_PCR, "inc", initials="KL")
    place = room.enter()
    place.reader.setText("kl")
    room.until(lambda: place.model.rowCount() == 1)
    assert place.model.row_at(0).study_instance_uid == "9.1"

    place.reader.clear()
    place.with_outcome.click()
    room.until(lambda: place.model.rowCount() == 1 and place.model.row_at(0).study_instance_uid == "9.0")
    number = room.history.outcomes("9.0")[0].number
    room.history.take_back_outcome(number, "KL")
    place.read()
    room.until(lambda: place.model.rowCount() == 0)
    assert place.trail is None


def test_flags_and_judged_studies_are_counted_by_the_history(room: Room):
    row = room.history.row(UID)
    assert row is not None
    assert row.probabilities is not None
    room.history.save_verdict(UID, impression="covid", initials="KL")
    policy = room.place.policy

    def count(wanted: Filter) -> int:
        return room.history.lane_counts(NOW, policy, wanted).wanted

    assert count(Filter(flagged_from=row.probabilities[2])) == 1
    assert count(Filter(flagged_from=min(1.0, row.probabilities[2] + 1e-6))) == 0
    assert count(Filter(judged=True)) == 1


def test_the_trail_tells_everything_in_order_and_what_was_taken_back(room: Room):
    history = room.history
    viewing = history.open_viewing(UID, "AB")
    history.close_viewing(viewing, 0.62)
    number = history.save_verdict(UID, impression="covid", action="now", initials="AB")
    history.take_back_verdict(number, "CD")
    history.record_escalation(UID, "Dr Silva", "AB")
    room.chosen()

    text = room.trail_text()
    assert "Scored" in text
    assert a_pack().title in text
    assert "62 % of slices seen" in text
    assert "COVID-19 pattern, show a doctor now" in text
    assert "Taken back: " in text
    assert "CD" in text
    assert "Dr Silva" in text


def test_a_score_is_compared_with_the_one_before_it_and_what_changed_is_named(room: Room):
    first = room.history.results(UID)[0]
    again = replace(first, number=2)
    assert compared_text(first, again).startswith("Compared with the score before: the same, bit by bit.")
    assert "Changed" not in compared_text(first, again)

    score = replace(first.score, provider="cuda", probabilities=(0.2, 0.3, 0.5))
    text = compared_text(first, replace(again, score=score, application_version="0.2"))
    assert "the device (cpu, now cuda)" in text
    assert "the program (0.1, now 0.2)" in text
    assert "points" in text


def test_in_look_first_mode_the_history_covers_scores_until_an_impression_is_saved(room: Room):
    room.context.site.value = Settings(look_first=True)
    place = room.chosen()
    score = HistoryColumn.SCORE
    column = list(HistoryColumn).index(score)
    assert place.model.index(0, column).data() == "look first"
    assert "Covered until" in room.trail_text()

    room.history.save_verdict(UID, impression="normal", initials="AB")
    room.context.bridge.studies_changed.emit(frozenset({UID}))
    room.until(lambda: "Covered until" not in room.trail_text())
    assert place.model.index(0, column).data() != "look first"


def test_hidden_names_are_hidden_here_too(room: Room):
    room.context.identities.hide(True)
    place = room.chosen()

    shown = " ".join([*room.names(), place.who.text(), room.trail_text()])
    assert "Müller" not in shown
    assert f"ID-{UID}" not in shown
    room.context.identities.hide(False)
    assert "Müller" in place.who.text()


def test_an_outcome_is_entered_with_its_source_and_day_and_taken_back_by_a_later_entry(room: Room):
    place = room.chosen()
    dialog = OutcomeDialog("AB", "who", NOW.date(), place)
    (save,) = [one for one in dialog.buttons.buttons() if one.text() == "Save"]
    assert (dialog.kind.currentData(), save.isEnabled()) == ("", False)
    dialog.kind.setCurrentIndex(dialog.kind.findData("rtpcr"))
    assert not save.isEnabled()
    dialog.value.setCurrentIndex(dialog.value.findData("neg"))
    dialog.source.setText("laboratory")
    dialog.has_date.setChecked(True)
    dialog.dated.setDate(dialog.dated.date().addDays(-2))
    assert save.isEnabled()
    place._recorder.record("Enter outcome", dialog.entry(room.context, UID))
    room.until(lambda: "SARS-CoV-2 not found" in room.trail_text())
    (outcome,) = room.history.outcomes(UID)
    assert (outcome.value, outcome.source, outcome.dated) == ("neg", "laboratory", NOW.date() - timedelta(days=2))

    room.choose_entry(Kind.OUTCOME)
    room.context.actions.ask("history.take_back")
    room.until(lambda: "Taken back: " in room.trail_text())
    room.context.undo.undo()  # the taking back is taken back: said again
    room.until(lambda: len(room.history.outcomes(UID)) == 2)
    assert [one.taken_back for one in room.history.outcomes(UID)] == [True, False]
    assert room.history.outcomes(UID)[1].dated == outcome.dated


def test_only_what_a_person_said_can_be_taken_back(room: Room):
    room.chosen()
    room.choose_entry(Kind.STATE)
    action = room.context.actions["history.take_back"]

    assert not action.isEnabled()
    assert "Choose an entry" in action.toolTip()


def test_scoring_again_asks_the_engine_to_compare_and_shows_its_answer(room: Room):
    place = room.chosen()
    room.context.actions.ask("history.compare")
    assert room.context.running.engine.requests == [("verify", UID)]

    room.context.bridge.verified.emit(Verified(UID, "identical", 0.0, "Every slice has the same answer, bit by bit."))

    assert "bit by bit" in place.answer.text


def test_a_table_is_saved_without_identity_unless_it_is_asked_for(room: Room, tmp_path: Path):
    place = room.enter()
    sheet = TableSheet("4 studies", place)
    assert not sheet.with_identity

    place.save_table(tmp_path / "table.csv")
    room.until(lambda: any("4 studies are in" in one for one in room.said))

    text = (tmp_path / "table.csv").read_text("utf-8-sig")
    assert "Müller" not in text
    assert room.context.identities.code(f"ID-{UID}") in text


def test_a_backup_is_made_from_the_menu_and_the_last_good_one_is_named(room: Room):
    place = room.enter()
    room.until(lambda: "no good backup" in place.last_backup.text())
    room.context.actions.ask("back_up")
    room.until(lambda: "Last good backup" in place.last_backup.text())

    ((copy, good),) = look_at(room.context.running.place).copies
    assert good
    assert copy.path.name in place.last_backup.text()


def test_a_backup_that_is_put_back_brings_its_studies_and_keeps_the_history_before(tmp_path: Path, qtbot: QtBot):
    place = tmp_path / "history.sqlite"
    with History.open(place) as history:
        history.record_received(STUDY)
        copy = history.backup()
        history.record_received(made_up.study("9.9"))
    (tmp_path / "history.sqlite.backups" / "history-000009-20261123T080000000000Z.sqlite3").write_bytes(b"torn")
    dialog = RestoreDialog(look_at(place))
    qtbot.addWidget(dialog)
    assert dialog.list.count() == 2
    assert not dialog.restore.isEnabled()
    dialog.list.setCurrentRow(1)
    assert dialog.chosen == copy
    assert dialog.list.item(0).flags() == Qt.ItemFlag.NoItemFlags

    told = put_back(place, copy, NOW)

    assert "is in place" in told
    with History.open(place) as history:
        assert [row.study_instance_uid for row in history.rows()] == [UID]
    (aside,) = tmp_path.glob("history.sqlite.replaced-*")
    assert aside.name in told
    with sqlite3.connect(aside) as connection:
        assert connection.execute("SELECT count(*) FROM study").fetchone() == (2,)
    connection.close()


def test_a_trail_of_an_unknown_study_is_none(room: Room):
    assert read_trail(room.history, "no.such") is None
    trail = read_trail(room.history, UID)
    assert trail is not None
    assert [one.at for one in entries_of(trail)] == sorted(one.at for one in entries_of(trail))


def test_days_filter_the_history(room: Room):
    place = room.enter()
    place.filters.set_dates(date(2026, 11, 23), None)

    room.until(lambda: place.model.rowCount() == 0)
    place.filters.set_dates(date(2026, 11, 22), date(2026, 11, 22))
    room.until(lambda: place.model.rowCount() == 4)
