from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel, QPushButton, QScrollBar, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.events import NotDone, Verified
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import Fragility
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.study import SeriesChoice
from aicorona_desktop.history.store import SiteVerification
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.finding_words import compression_name
from aicorona_desktop.ui.fold import Line
from aicorona_desktop.ui.map_layer import MapState
from aicorona_desktop.ui.model_card import ModelCard
from aicorona_desktop.ui.study_panel import StudyPanel
from aicorona_desktop.ui.viewer_state import with_map
from tests.dicom.phantom_series import chest
from tests.history import made_up
from tests.history.made_up import NOW, TILT, TOO_FEW
from tests.ui.panel_parts import WAY, a_pack, cams_of, context_over, hashed, placed, recorded, score_of, viewed

SLICES = 12
STUDY = placed(made_up.study(slices=SLICES))
UID = STUDY.study_instance_uid
PERSON = "waits under Needs a person"


@pytest.fixture
def context(tmp_path: Path, qapp: object) -> Iterator[Context]:
    with context_over(tmp_path, a_pack()) as context:
        yield context


def scored(context: Context, findings: tuple[Finding, ...] = (), **changes: Any):
    pack = context.running.pack
    return recorded(context.running.history, STUDY, score_of(STUDY, pack, cams_of(6), **changes), findings)


def unscored(context: Context, state: State, *findings: Finding) -> None:
    context.running.history.record_received(STUDY)
    context.running.history.move_through(UID, WAY[:1])
    context.running.history.record_unscored(UID, state, findings, choice=SeriesChoice(None, "None fits."))


def shown(context: Context, qtbot: QtBot, uid: str = UID) -> StudyPanel:
    """The panel with the study in it, read."""
    host = QWidget()
    qtbot.addWidget(host)
    panel = StudyPanel(context, parent=host)
    panel.show_study(uid)
    panel.resize(360, 900)
    panel.host = host  # for as long as the panel
    host.resize(400, 950)
    host.show()
    qtbot.waitUntil(lambda: panel._facts is not None, timeout=5000)
    return panel


def text_of(panel: StudyPanel) -> str:
    QApplication.processEvents()  # new labels are shown in the next turn
    return "\n".join(label.text() for label in panel.findChildren(QLabel) if not label.isHidden())


# --- the score -------------------------------------------------------------------------------------------------------


def test_a_final_score_stands_with_its_spread_its_classes_and_where_it_comes_from(
    context: Context, qtbot: QtBot
) -> None:
    result = scored(context, fragility=Fragility(0.04, rests_on_one_slice=False, doubtful=False))
    panel = shown(context, qtbot)

    score = result.score
    assert panel.score.number.text() == f"{round(100 * score.p_covid)} ±4"
    assert "Final: all 6 slices are scored." in panel.score.lines.text
    assert [bar.label.text() for bar in panel.score.bars.values()] == [
        f"COVID-19: {round(100 * score.probabilities[2])}",
        f"Pneumonia or other abnormality: {round(100 * score.probabilities[1])}",
        f"No abnormality: {round(100 * score.probabilities[0])}",
    ]
    assert "6 of 3 (the middle half)" not in panel.series.lines.text
    assert f"6 of {score.slices_total} (the middle half)" in panel.series.lines.text
    assert "The only axial series." in panel.series.lines.text
    assert "Processor (CPU)" in panel.model.text
    assert "12.5 of a limit of 40.0" in panel.model.text
    assert "untrained weights" in panel.model.text


def test_a_preliminary_score_says_how_far_it_is(context: Context, qtbot: QtBot) -> None:
    scored(context, preliminary=True, fragility=None, slices_total=SLICES)

    panel = shown(context, qtbot)

    assert panel.score.number.text().endswith(" prelim.")
    assert "Preliminary: 6 of 6 slices so far." in panel.score.lines.text


def test_a_doubtful_score_that_rests_on_one_slice_says_both(context: Context, qtbot: QtBot) -> None:
    scored(context, fragility=Fragility(0.2, rests_on_one_slice=True, doubtful=True))

    panel = shown(context, qtbot)

    assert "Doubtful: without its strongest slices" in panel.score.lines.text
    assert "rests on one slice" in panel.score.lines.text
    assert "rests on one slice" in panel.fragility.text


def test_without_an_operating_point_nothing_is_flagged_and_the_site_is_told_so(context: Context, qtbot: QtBot) -> None:
    scored(context)

    panel = shown(context, qtbot)

    assert "not set; the list is ordered, nothing is flagged" in panel.score.lines.text
    assert "Not verified at this site" in panel.score.lines.text


@pytest.mark.parametrize(
    ("point", "flag"), [(0.0001, "look at this first"), (0.9999, "No flag. This does not rule out")]
)
def test_the_operating_point_of_the_pack_is_named_as_such(
    tmp_path: Path, qtbot: QtBot, point: float, flag: str
) -> None:
    with context_over(tmp_path, a_pack(point)) as context:
        scored(context)

        panel = shown(context, qtbot)

        assert "from the model pack (tuning set of the toy)" in panel.score.lines.text
        assert flag in panel.score.lines.text
        assert "Not verified at this site" in panel.score.lines.text


@pytest.mark.parametrize(("age", "holds"), [(timedelta(days=300), True), (timedelta(days=400), False)])
def test_the_site_s_own_operating_point_goes_first_for_twelve_months(
    context: Context, qtbot: QtBot, age: timedelta, holds: bool
) -> None:
    scored(context)
    pack = context.running.pack
    context.running.history.record_pack(pack.sha256, pack.title, pack.status)
    context.running.history.record_site_verification(
        SiteVerification(pack.sha256, pack.preparation, "cpu", 0.42, 0.9, 0.8, 214, "CD", NOW - age)
    )

    panel = shown(context, qtbot)

    assert ("42.0, verified at this site on" in panel.score.lines.text) is holds
    assert ("Not verified at this site" in panel.score.lines.text) is not holds


def test_numbers_that_are_no_score_are_not_shown(context: Context, qtbot: QtBot) -> None:
    scored(context, probabilities=(0.0, 0.0, 6.3))

    panel = shown(context, qtbot)

    assert "was not a valid score. Nothing is shown" in panel.score.trouble.text
    assert "630" not in text_of(panel)
    assert all(bar.isHidden() for bar in panel.score.bars.values())


# --- no score ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "finding", "said"),
    [
        (State.UNSUITABLE, TOO_FEW, (PERSON, "without a score")),
        (
            State.UNSUITABLE,
            Finding(Outcome.UNSUITABLE, Reason.NO_CHEST_CT),
            ("kept under Not for this tool", "score it anyway"),
        ),
        (
            State.REFUSED,
            Finding(Outcome.REFUSED, Reason.TRANSFER_SYNTAX, name="x"),
            (PERSON, "uncompressed"),
        ),
        (
            State.REFUSED,
            Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData"),
            (PERSON, "send it again"),
        ),
        (State.FAILED, Finding(Outcome.UNSUITABLE, Reason.SCORING_FAILED), (PERSON, "Score it again")),
    ],
)
def test_a_study_that_cannot_be_scored_says_what_it_means_and_what_to_do(
    context: Context, qtbot: QtBot, state: State, finding: Finding, said: tuple[str, str]
) -> None:
    unscored(context, state, finding)

    panel = shown(context, qtbot)

    assert panel.score.number.text() == "Cannot be scored"
    happened, meaning, advice = panel.score.trouble.lines
    in_words = {Reason.TRANSFER_SYNTAX: "These images use a compression this version cannot open (x)."}
    assert happened.text == in_words.get(finding.reason, str(finding))
    assert said[0] in meaning.text
    assert said[1] in advice.text
    assert "cannot be scored" in panel.folds["suitability"].heading.text()


def test_the_message_can_be_copied(context: Context, qtbot: QtBot) -> None:
    unscored(context, State.UNSUITABLE, TOO_FEW)
    panel = shown(context, qtbot)

    panel.score.copy.click()

    assert str(TOO_FEW) in QGuiApplication.clipboard().text()


def test_a_stored_score_that_was_changed_outside_the_program_is_not_shown(context: Context, qtbot: QtBot) -> None:
    history = context.running.history
    scored(context)
    history._connection.execute("UPDATE result SET probability_covid = 0.01")

    panel = shown(context, qtbot)

    assert panel.score.number.text() == "Cannot be scored"
    assert "changed outside the program" in panel.score.trouble.text
    assert panel.folds["contributions"].isHidden()


def test_a_study_in_work_says_that_there_is_no_score_yet(context: Context, qtbot: QtBot) -> None:
    context.running.history.record_received(STUDY)

    assert "No score yet" in shown(context, qtbot).score.lines.text


def test_with_look_first_nothing_of_the_score_is_seen_before_the_own_impression(tmp_path: Path, qtbot: QtBot) -> None:
    with context_over(tmp_path, a_pack(), site=Settings(look_first=True)) as context:
        result = scored(context)
        panel = shown(context, qtbot)
        number = str(round(100 * result.score.p_covid))

        covered = text_of(panel)
        context.running.history.save_verdict(UID, impression="normal", initials="AB")
        context.bridge.studies_changed.emit(frozenset({UID}))
        qtbot.waitUntil(lambda: panel.score.number.text().startswith(number), timeout=5000)

        assert "Covered until your own impression is saved." in covered
        assert number not in covered
        assert "Covered" not in text_of(panel)


def test_with_look_first_neither_map_nor_contributions_can_be_asked_for(tmp_path: Path, qtbot: QtBot) -> None:
    with context_over(tmp_path, a_pack(), site=Settings(look_first=True)) as context:
        result = scored(context)
        context.running.maps.save(result.number, cams_of(6), tuple(range(6)), a_pack().bias)
        panel = shown(context, qtbot)
        in_viewer(context, panel, result, on=True)

        panel.layer.want()
        qtbot.wait(50)

        assert panel.layer.state is MapState.NOT_ASKED
        assert "own impression" in panel.layer.blocked
        assert panel.folds["map"].isHidden()
        assert panel.folds["contributions"].isHidden()
        assert panel.folds["fragility"].isHidden()


# --- the rest ------------------------------------------------------------------------------------------------------


def test_what_was_noticed_stands_under_its_grade(context: Context, qtbot: QtBot) -> None:
    scored(context, findings=(TILT,))

    panel = shown(context, qtbot)

    assert panel.folds["suitability"].heading.text() == "Suitability: fits with notes"
    assert panel.suitability.text == f"Note: {TILT}"


def test_files_that_are_none_of_the_slices_are_named_with_their_reason(context: Context, qtbot: QtBot) -> None:
    broken = made_up.damaged_file()
    context.running.history.record_received(replace(STUDY, left_out=(broken,)))

    panel = shown(context, qtbot)

    assert f"{broken.file.shown}: {broken.finding}" in panel.files.text


def test_an_earlier_score_stays_in_sight_as_superseded(context: Context, qtbot: QtBot) -> None:
    first = scored(context, provider="cuda")
    context.running.history.move(UID, State.QUEUED, "score again")
    other = score_of(STUDY, a_pack(), cams_of(8, seed=5))
    context.running.history.record_result(UID, other, (), "0.2", "gate-1", choice=made_up.choice(STUDY))

    panel = shown(context, qtbot)

    assert panel.score.number.text().startswith(str(round(100 * other.p_covid)))
    assert f"{round(100 * first.score.p_covid)} ±4; 6 slices" in panel.earlier.text
    assert "Graphics card (CUDA), version 0.1" in panel.earlier.text


def test_a_study_that_changes_is_read_again(context: Context, qtbot: QtBot) -> None:
    context.running.history.record_received(STUDY)
    panel = shown(context, qtbot)
    scored(context)

    context.bridge.studies_changed.emit(frozenset({UID}))

    qtbot.waitUntil(lambda: "Final" in panel.score.lines.text, timeout=5000)


def test_scoring_again_and_checking_are_asked_of_the_engine(context: Context, qtbot: QtBot) -> None:
    scored(context)
    panel = shown(context, qtbot)

    panel.score_again.click()
    panel.verify.click()

    assert context.running.engine.requests == [("score_again", UID, None, False, "AB"), ("verify", UID)]


def test_what_came_of_the_check_stands_beside_the_scores(context: Context, qtbot: QtBot) -> None:
    scored(context)
    panel = shown(context, qtbot)

    context.bridge.verified.emit(Verified("9.9", "different", 1.0, "Another study."))
    context.bridge.verified.emit(Verified(UID, "identical", 0.0, "The same to the last digit."))
    assert panel.answer.lines == (Line("The same to the last digit."),)

    context.bridge.verified.emit(Verified(UID, "different", 0.4, "The score differs."))
    assert panel.answer.lines == (Line("The score differs.", strong=True),)

    context.bridge.not_done.emit(NotDone(UID, "The files are gone."))
    assert panel.answer.lines == (Line("The files are gone.", strong=True),)


def test_where_the_history_is_for_reading_only_its_buttons_say_so(tmp_path: Path, qtbot: QtBot) -> None:
    with context_over(tmp_path, a_pack(), engine=False) as context:
        scored(context)

        panel = shown(context, qtbot)

        for button in (panel.score_again, panel.verify, panel.series.other):
            assert not button.isEnabled()
            assert "reading only" in button.toolTip()


# --- series --------------------------------------------------------------------------------------------------------


def test_another_series_is_offered_with_what_the_gate_says_and_used_on_demand(context: Context, qtbot: QtBot) -> None:
    few = chest(3).renamed("few", series_instance_uid="1.7", series_number=7, series_description="LUNG 1.0")
    study = hashed(chest().plus(few).study())
    score = score_of(study, a_pack(), cams_of(6))
    result = recorded(context.running.history, study, score)
    panel = shown(context, qtbot, study.study_instance_uid)
    asked: list[str] = []
    panel.use_series.connect(asked.append)

    panel.set_viewed(viewed(study, result))
    qtbot.waitUntil(panel.series.other.isEnabled, timeout=5000)
    panel.series.other.click()
    button = panel.series.choices.findChild(QPushButton, "use_series_7")
    button.click()

    assert "series 7, LUNG 1.0: 3 slices. Cannot be scored. There are too few slices" in button.accessibleName()
    assert button.text() == "Score anyway"
    assert asked == ["1.7"]
    assert context.running.engine.requests == [("score_again", study.study_instance_uid, "1.7", True, "AB")]


def test_a_study_without_a_score_can_have_its_only_series_scored_anyway(context: Context, qtbot: QtBot) -> None:
    study = hashed(chest(8).study())
    context.running.history.record_received(study)
    context.running.history.move_through(study.study_instance_uid, WAY[:1])
    context.running.history.record_unscored(
        study.study_instance_uid, State.UNSUITABLE, (TOO_FEW,), choice=SeriesChoice(None, "Too few slices.")
    )
    panel = shown(context, qtbot, study.study_instance_uid)

    panel.set_viewed(viewed(study, None))
    qtbot.waitUntil(panel.series.other.isEnabled, timeout=5000)
    panel.series.choices.findChild(QPushButton, "use_series_2").click()

    assert panel.series.other.text() == "Score a series anyway…"
    assert context.running.engine.requests == [("score_again", study.study_instance_uid, "1.2", True, "AB")]


def test_a_study_of_one_series_offers_no_other(context: Context, qtbot: QtBot) -> None:
    study = hashed(chest().study())
    result = recorded(context.running.history, study, score_of(study, a_pack(), cams_of(6)))
    panel = shown(context, qtbot, study.study_instance_uid)

    panel.set_viewed(viewed(study, result))

    qtbot.waitUntil(lambda: "no other series" in panel.series.other.toolTip(), timeout=5000)
    assert not panel.series.other.isEnabled()


# --- maps and contributions ----------------------------------------------------------------------------------------


def in_viewer(context: Context, panel: StudyPanel, result: Any, *, on: bool = False) -> None:
    """Let the panel follow a viewer that shows the scored series."""
    seen = viewed(STUDY, result)
    panel.layer.show_study(seen)
    panel.set_viewed(seen)
    state = replace(panel._state, series_instance_uid=seen.series[0].series_instance_uid, slices=SLICES)
    panel.set_state(with_map(state, on))


def test_the_panel_states_the_sum_of_the_maps_and_its_difference_to_the_stored_score(
    context: Context, qtbot: QtBot
) -> None:
    result = scored(context)
    context.running.maps.save(result.number, cams_of(6), tuple(range(6)), a_pack().bias)
    panel = shown(context, qtbot)
    in_viewer(context, panel, result, on=True)

    panel.layer.want()
    qtbot.waitUntil(lambda: panel.layer.state is MapState.READY, timeout=5000)

    stored = result.score.logits[2]
    lines = panel.check.text.splitlines()
    assert lines[0] == "Shows what moved the score, not where disease is."
    assert lines[1].startswith("COVID-19: bias −0.3000 + mean of the maps")
    assert f"stored {'+' if stored >= 0 else '−'}{abs(stored):.4f}, difference" in lines[1]
    assert "up to 0.01 is allowed" in lines[-1]


def test_a_sum_that_is_not_the_stored_score_is_an_error_and_says_so_first(context: Context, qtbot: QtBot) -> None:
    result = scored(context)
    context.running.maps.save(result.number, cams_of(6) * 1.1, tuple(range(6)), a_pack().bias)
    panel = shown(context, qtbot)
    in_viewer(context, panel, result, on=True)

    panel.layer.want()
    qtbot.waitUntil(lambda: panel.layer.state is MapState.WRONG, timeout=5000)

    first = panel.check.lines[0]
    assert (first.strong, "do not add up to the stored score" in first.text) == (True, True)
    assert "stored" in panel.check.text.splitlines()[2]


def test_map_and_contributions_start_folded_with_every_study(context: Context, qtbot: QtBot) -> None:
    scored(context)
    panel = shown(context, qtbot)
    panel.folds["map"].heading.click()
    panel.folds["contributions"].heading.click()
    assert panel.folds["contributions"].is_open

    panel.show_study("9.9")

    assert not panel.folds["map"].is_open
    assert not panel.folds["contributions"].is_open


def test_the_list_names_slices_as_the_viewer_does_and_leads_to_them(context: Context, qtbot: QtBot) -> None:
    result = scored(context)
    panel = shown(context, qtbot)
    in_viewer(context, panel, result)
    gone: list[int] = []
    panel.go_to_slice.connect(gone.append)
    table = panel.contributions.table
    shares = [one[2] for one in result.score.slice_contributions]
    strongest = shares.index(max(shares))

    table.selectRow(0)
    panel.contributions.go.click()

    assert table.item(0, 0).text() == str(strongest + 1)
    assert gone == [strongest]
    assert table.rowCount() == 6


def test_the_list_follows_the_class_of_the_map(context: Context, qtbot: QtBot) -> None:
    result = scored(context)
    panel = shown(context, qtbot)
    in_viewer(context, panel, result)

    panel.set_state(replace(panel._state, map_class="cp"))

    shares = [one[1] for one in result.score.slice_contributions]
    assert panel.contributions.table.item(0, 0).text() == str(shares.index(max(shares)) + 1)
    assert "Pneumonia or other abnormality" in panel.contributions.intro.text()


def test_a_site_without_maps_sees_nothing_of_them_but_how_fragile_the_score_is(tmp_path: Path, qtbot: QtBot) -> None:
    with context_over(tmp_path, a_pack(), site=Settings(triage_only=True)) as context:
        result = scored(context)
        panel = shown(context, qtbot)

        in_viewer(context, panel, result)

        assert panel.folds["map"].isHidden()
        assert panel.folds["contributions"].isHidden()
        assert not panel.folds["fragility"].isHidden()
        assert "Without the strongest slice" in panel.fragility.text


# --- the panel as a whole ------------------------------------------------------------------------------------------


def test_nothing_lies_beside_the_edge_and_the_scroll_bar_is_always_there(context: Context, qtbot: QtBot) -> None:
    scored(context, findings=(TILT,))
    panel = shown(context, qtbot)
    for fold in panel.folds.values():
        fold.set_open(True)
    QApplication.processEvents()
    panel.resize(panel.minimumWidth(), 620)
    QApplication.processEvents()

    inside = panel.area.widget()
    assert inside.minimumSizeHint().width() <= panel.area.viewport().width()
    assert panel.area.verticalScrollBarPolicy() is Qt.ScrollBarPolicy.ScrollBarAlwaysOn
    assert isinstance(panel.area.verticalScrollBar(), QScrollBar)
    assert panel.minimumWidth() < 1280 / 3


def test_what_is_folded_is_remembered(context: Context, qtbot: QtBot) -> None:
    scored(context)
    panel = shown(context, qtbot)
    panel.folds["suitability"].heading.click()

    again = shown(context, qtbot)

    assert not again.folds["suitability"].is_open
    assert again.folds["series"].is_open


def test_every_control_has_a_name_that_can_be_heard(context: Context, qtbot: QtBot) -> None:
    scored(context)
    panel = shown(context, qtbot)

    for button in panel.findChildren(QPushButton):
        assert button.accessibleName() or button.text()
    for fold in panel.folds.values():
        assert fold.heading.accessibleName().endswith((", open", ", folded"))
    assert panel.contributions.table.accessibleName()


def test_the_model_card_is_shown_as_text_and_fetches_nothing(qtbot: QtBot) -> None:
    card = ModelCard(default_pack())
    qtbot.addWidget(card)

    text = card.view.toPlainText()

    assert "What it is for" in text
    assert "**" not in text
    assert card.view.loadResource(2, "https://example.org/picture.png") is None


def test_a_compression_that_can_not_be_opened_is_called_by_its_name():
    assert compression_name("1.2.840.10008.1.2.4.102") == "MPEG-4, H.264, 1.2.840.10008.1.2.4.102"
    assert compression_name("1.2.3") == "1.2.3"
