"""The list as a model: Qt's own rules for models, what cells show, and a snapshot that stays as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from PySide6.QtCore import Qt

from aicorona_desktop.core.rows import Lane, Row, State
from aicorona_desktop.core.settings import Order
from aicorona_desktop.history.store import Filter
from aicorona_desktop.triage.ranking import Policy, rank
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.worklist_model import COLUMNS, HEADING_ROLE, WorklistModel
from aicorona_desktop.ui.worklist_pages import NOTHING, Asked, Change, Snapshot, difference
from aicorona_desktop.ui.worklist_words import Column, StateWord
from tests.history.made_up import NOW
from tests.ui.worklist_parts import NO_CHEST, TILT, TOO_FEW

IDENTITIES = Identities(b"k" * 32)


def row(uid: str, covid: float | None = 0.5, minutes: float = 10, **more: object) -> Row:
    probabilities = None if covid is None else (0.75 * (1 - covid), 0.25 * (1 - covid), covid)
    values = {
        "state": State.DONE,
        "probabilities": probabilities,
        "patient_name": f"Name^{uid}",
        "patient_id": f"ID-{uid}",
    }
    return Row(uid, NOW - timedelta(minutes=minutes), **(values | more))


def snapshot_of(*rows: Row, number: int = 1, asked: Asked | None = None) -> Snapshot:
    ranked = rank(rows, NOW, Policy())
    counts = {lane: sum(one.lane is lane for one in ranked) for lane in Lane}
    placed: dict[tuple[Lane, int], Row] = {}
    for one in ranked:
        assert one.lane is not None
        placed[one.lane, sum(other[0] is one.lane for other in placed)] = one
    return Snapshot(number, NOW, asked or Asked(), counts, NOTHING, placed)


@pytest.fixture
def model(qapp):
    return WorklistModel(IDENTITIES.of, lambda: NOW)


def cell(model: WorklistModel, line: int, column: Column, role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole) -> str:
    return model.index(line, COLUMNS.index(column)).data(role)


def uids(model: WorklistModel) -> list[str]:
    found = (model.row_at(number) for number in range(model.rowCount()) if model.line(number).detail < 0)
    return [one.study_instance_uid for one in found if one]


def test_it_keeps_the_rules_of_models_through_folding_paging_and_other_orders(model, qtmodeltester):
    rows = [row(str(number), number / 40) for number in range(30)]
    rows += [row("odd", None, state=State.UNSUITABLE, findings=(TOO_FEW,)), row("read", 0.9, read_at=NOW)]
    whole = snapshot_of(*rows)
    qtmodeltester.check(model)

    model.show(replace(whole, rows={}))
    model.add_rows(1, Lane.RANKED, 0, [whole.rows[Lane.RANKED, place] for place in range(30)])
    model.unfold_row("29")
    model.unfold_row("17")
    model.fold(Lane.READ, False)
    model.fold(Lane.RANKED)
    model.fold(Lane.RANKED, False)
    model.unfold_row("29", False)
    model.renew([replace(whole.rows[Lane.RANKED, 12], findings=(TILT,)), replace(whole.rows[Lane.RANKED, 3], note="x")])
    model.show(snapshot_of(*rows[5:], number=2))
    model.show(snapshot_of(number=3))

    qtmodeltester.check(model, force_py=True)


def test_lanes_stand_in_order_with_their_counts_and_the_read_ones_are_folded(model):
    model.show(snapshot_of(row("a", 0.2), row("b", 0.8), row("r", 0.9, read_at=NOW), row("p", 0.1, pinned=True)))

    headings = [cell(model, number, Column.IDENTITY) for number in range(model.rowCount()) if not model.row_at(number)]

    assert headings == ["Needs a person (1)", "Ranked (2)", "Read (1)"]
    assert uids(model) == ["p", "b", "a"]


def test_what_needs_a_person_is_never_folded(model):
    model.show(snapshot_of(row("p", 0.1, pinned=True)))

    model.fold(Lane.NEEDS_PERSON)

    assert uids(model) == ["p"]
    assert not model.index(0, 0).data(HEADING_ROLE).foldable


def test_while_something_is_filtered_nothing_is_folded_until_the_user_folds_it(model):
    read = row("r", 0.9, read_at=NOW)
    model.show(snapshot_of(read))
    assert uids(model) == []

    model.show(snapshot_of(read, number=2, asked=Asked(wanted=Filter(text="r"))))

    assert uids(model) == ["r"]
    assert model.kept_folds == {Lane.READ, Lane.NOT_FOR_TOOL}


def test_rows_are_asked_for_once_by_the_page_and_drawn_when_they_come(model, qtbot):
    asked: list[frozenset[tuple[Lane, int]]] = []
    model.pages_wanted.connect(asked.append)
    rows = [row(f"{number:03}", 1 - number / 400) for number in range(300)]
    whole = snapshot_of(*rows)
    model.show(replace(whole, rows={}))

    assert cell(model, 150, Column.IDENTITY) == ""
    assert cell(model, 151, Column.SCORE) == ""
    assert asked == [frozenset({(Lane.RANKED, 1)})]

    model.add_rows(1, Lane.RANKED, 100, [whole.rows[Lane.RANKED, place] for place in range(100, 200)])

    assert model.row_at(151).study_instance_uid == "150"
    model.want_lines(90, 110)
    assert asked[1:] == [frozenset({(Lane.RANKED, 0)})]


def test_rows_of_an_order_that_is_no_longer_drawn_are_dropped(model):
    model.show(snapshot_of(row("a"), number=2))

    model.add_rows(1, Lane.RANKED, 0, [row("old")])

    assert uids(model) == ["a"]


def test_contents_change_in_place_and_the_order_does_not(model):
    model.show(snapshot_of(row("a", 0.8), row("b", 0.4)))

    model.renew([replace(row("b", 0.99), lane=Lane.RANKED), row("unknown", 0.5)])

    assert uids(model) == ["a", "b"]
    assert cell(model, 2, Column.SCORE) == "99"


def test_memory_of_a_long_lane_is_bounded(model):
    count = 12_000
    rows = [row(f"{number:05}") for number in range(100)]
    model.show(Snapshot(1, NOW, Asked(), {Lane.RANKED: count}, NOTHING))

    for start in range(0, count, 100):
        fresh = [replace(one, study_instance_uid=f"{start}.{one.study_instance_uid}") for one in rows]
        model.add_rows(1, Lane.RANKED, start, fresh)

    assert len(model.rows) <= 80 * 100
    assert model.row_at(count).study_instance_uid.startswith("11900.")


def test_the_score_is_a_whole_number_with_its_spread_or_its_state(model):
    texts = {
        "prelim": row("1", 0.812, state=State.PRELIMINARY, preliminary=True),
        "spread": row("2", 0.812, half_spread=0.041),
        "plain": row("3", 0.812),
        "none": row("4", None, state=State.QUEUED),
        "impossible": replace(row("5"), probabilities=(-1.0, 0.0, 6.3)),
    }

    assert {name: words.score_text(one) for name, one in texts.items()} == {
        "prelim": "81 prelim.",
        "spread": "81 ±4",
        "plain": "81",
        "none": "",
        "impossible": "",
    }


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (row("1", None, state=State.RECEIVED), StateWord.ARRIVING),
        (row("1", None, state=State.SETTLING), StateWord.ARRIVING),
        (row("1", None, state=State.CHECKING), StateWord.ARRIVING),
        (row("1", None, state=State.QUEUED), StateWord.QUEUED),
        (row("1", None, state=State.RUNNING), StateWord.QUEUED),
        (row("1", 0.4, state=State.RUNNING, preliminary=True), StateWord.PRELIMINARY),
        (row("1"), StateWord.SCORED),
        (row("1", doubtful=True), StateWord.DOUBTFUL),
        (row("1", None, state=State.UNSUITABLE), StateWord.CANNOT_BE_SCORED),
        (row("1", None, state=State.REFUSED), StateWord.CANNOT_BE_SCORED),
        (row("1", None, state=State.FAILED), StateWord.CANNOT_BE_SCORED),
        (row("1", read_at=NOW), StateWord.READ),
        (row("1", read_at=NOW, removed_at=NOW), StateWord.REMOVED),
    ],
)
def test_every_state_has_one_word(one, word):
    assert words.state_word_of(one) is word


def test_an_arriving_study_says_how_many_files_it_has(qapp):
    assert words.state_text(row("1", None, state=State.RECEIVED, files_received=34)) == "arriving, 34 files"


def test_the_fold_out_says_why_the_row_is_here_and_what_else_is_known(model):
    one = row("a", 0.8, rests_on_one_slice=True, findings=(TILT,), files_received=40)
    one = replace(one, series_instance_uid="1.5", series_reason="The thinnest.")
    model.show(snapshot_of(one))

    model.unfold_row("a")

    details = [cell(model, number, Column.IDENTITY) for number in range(2, model.rowCount())]
    assert details == [
        "Why is it here? Score 80, rank 1 of 1; waits 10 min",
        "Other classes: Pneumonia or other abnormality 5, No abnormality 15",
        "Fragile: The score rests on one slice: without it, it would be clearly lower.",
        "Series used: The thinnest.",
        "Files: 40 files received",
        "Note: The gantry is tilted by 3.5 degrees.",
    ]


def test_a_row_reads_as_sentences(model):
    one = row(
        "a",
        0.8,
        half_spread=0.04,
        patient_age_years=63.5,
        patient_sex="F",
        study_date="2026-11-23",
        study_time="09:15:00",
    )
    model.show(snapshot_of(one))

    assert cell(model, 1, Column.SCORE, Qt.ItemDataRole.AccessibleTextRole) == (
        "Ranked. \u2068Name, a\u2069  \u2068ID-a\u2069, 63 y, F. 2026-11-23 09:15. waits 10 min."
        " model score 80, plus or minus 4. scored. not read."
    )
    assert cell(model, 0, Column.MARK, Qt.ItemDataRole.AccessibleTextRole) == "Lane Ranked, 1 study."


def test_a_covered_score_shows_in_no_text_of_the_row(model):
    model.look_first = True
    model.show(snapshot_of(row("a", 0.83, half_spread=0.04, study_date="20200101")))
    model.unfold_row("a")

    roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole)
    texts = [
        cell(model, line, column, role) for line in range(1, model.rowCount()) for column in COLUMNS for role in roles
    ]

    assert not [text for text in texts if text and "83" in text]
    model.renew([replace(model.row_of("a"), impression="normal")])
    assert cell(model, 1, Column.SCORE) == "83 ±4"


def test_a_copied_row_names_nobody(qapp):
    one = replace(
        row("1.2.3", 0.8, findings=(NO_CHEST,), note="Anna rang", series_description="MUELLER ANNA THORAX"),
        patient_name="Müller^Anna",
        accession_number="A77",
        institution_name="Clinic",
        patient_birth_date="19630101",
        lane=Lane.RANKED,
        pack="demo 1",
    )

    text = words.copied(one, NOW)

    assert text.split("\t")[0] == "Ranked"
    assert "80" in text.split("\t")
    for secret in ("Anna", "ller", "ID-1.2.3", "1.2.3", "A77", "Clinic", "1963", "MUELLER"):
        assert secret not in text


@pytest.mark.parametrize("order", list(Order))
def test_the_heading_of_the_ranked_lane_says_by_what_it_is_ordered(order, model):
    point = 0.5 if order is Order.TWO_BANDS else None
    model.show(snapshot_of(row("a"), asked=Asked(Policy(order, 60, point))))

    title = cell(model, 0, Column.IDENTITY)

    assert title.startswith("Ranked")
    assert (title == "Ranked (1)") == (order is Order.COVID)


# --- what a new order changes -------------------------------------------------------------------------------------


def change(before: Snapshot, after: Snapshot, anchor: str = "") -> Change:
    return difference(before, before.rows, after, anchor)


def test_the_same_order_is_no_change():
    rows = row("a", 0.8), row("b", 0.4)

    assert not change(snapshot_of(*rows), snapshot_of(*rows, number=2))


def test_new_studies_are_counted_and_those_above_the_current_one():
    old = row("a", 0.8), row("b", 0.4)
    new = (*old, row("c", 0.9), row("d", 0.1))

    assert change(snapshot_of(*old), snapshot_of(*new, number=2), "b") == Change(new=2, above=1, moved=True)


def test_a_study_that_moved_up_stands_above_without_being_new():
    before = snapshot_of(row("a", 0.8), row("b", 0.4), row("c", 0.3))
    after = snapshot_of(row("a", 0.8), row("b", 0.4), row("c", 0.6), number=2)

    assert change(before, after, "b") == Change(new=0, above=1, moved=True)


def test_a_study_that_leaves_a_lane_moves_the_order():
    before = snapshot_of(row("a", 0.8), row("b", 0.4))
    after = snapshot_of(row("a", 0.8, read_at=NOW), row("b", 0.4), number=2)

    assert change(before, after, "b") == Change(new=0, above=0, moved=True)
