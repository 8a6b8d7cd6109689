"""Two versions of the same images in the window: both are shown, one is chosen, and it can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QPushButton

from aicorona_desktop.app.versions import Compared, ImageVersions, Version, compare
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.study import Instance
from aicorona_desktop.history.values import VersionChoice
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.recorder import recorder_of
from aicorona_desktop.ui.said_once import entry_of
from aicorona_desktop.ui.trail import Kind, entries_of, read_trail
from aicorona_desktop.ui.version_dialog import MARK, VersionDialog, ask_version, pixels_text
from tests.history.made_up import study
from tests.history.many import Made
from tests.ui.worklist_parts import NOW, context_of, wait_until

CONFLICT = Finding(Outcome.UNSUITABLE, Reason.UID_CONFLICT, found=2)
FIRST = np.full((32, 32), -800, np.int16)
LATER = FIRST.copy()
LATER[4:6, 8:12] = 40
SAME = FIRST


def version(index: int, series_description: str, arrived: timedelta, **tags: str) -> Version:
    from dataclasses import replace

    [series] = study("1.9", slices=4).series
    one = series.instances[index]
    header = replace(one.header, series_description=series_description, patient_name="Doe^Jane", **tags)
    file = replace(
        one.file, sha256=f"{index}{len(series_description)}".rjust(64, "0"), source=f"/in/{series_description}"
    )
    return Version(Instance(file, header), NOW + arrived)


IMAGES = tuple(
    ImageVersions(
        f"1.9.{index}", (version(index, "first", timedelta()), version(index, "corrected", timedelta(hours=2)))
    )
    for index in (1, 2)
)


def compared_of(pixels: tuple[np.ndarray, ...]) -> Callable[..., None]:
    def answer(_image: ImageVersions, told: Callable[[Compared], None], _failed: Callable[[str], None]) -> None:
        told(compare(pixels))

    return answer


@pytest.fixture
def context(tmp_path: Path, qapp: QApplication) -> Iterator[Context]:
    made = Made("two", NOW, state=State.UNSUITABLE, findings=(CONFLICT,))
    with context_of(tmp_path, [made]) as context:
        yield context


@pytest.fixture
def dialog(qapp: QApplication) -> Iterator[VersionDialog]:
    made = VersionDialog(IMAGES, compared_of((FIRST, LATER)), "")
    made.show_first()
    yield made
    made.deleteLater()


def save_button(dialog: VersionDialog) -> QPushButton:
    role = QDialogButtonBox.ButtonRole.AcceptRole
    (found,) = (one for one in dialog.buttons.buttons() if dialog.buttons.buttonRole(one) is role)
    assert isinstance(found, QPushButton)
    return found


def table(dialog: VersionDialog) -> list[list[str]]:
    found = []
    for row in range(dialog.table.rowCount()):
        items = [dialog.table.item(row, column) for column in range(dialog.table.columnCount())]
        found.append(["" if one is None else one.text() for one in items])
    return found


def test_both_versions_are_shown_with_where_and_when_they_came_from_and_what_differs(dialog: VersionDialog) -> None:
    titles = [one.text() for one in dialog.titles]

    assert "from /in/first" in titles[0]
    assert "from /in/corrected" in titles[1]
    assert "came first" in titles[0]
    assert "came later" in titles[1]
    assert table(dialog) == [["Series description", "first", "corrected"]]
    assert dialog.verdict.text().startswith("The pictures differ in 8 pixels (0.8 %)")
    first, later = (one.colours for one in dialog.pictures)
    assert first is not None
    assert later is not None
    marked = (later == MARK).all(axis=2)
    np.testing.assert_array_equal(marked, FIRST != LATER)
    assert not (first == MARK).all(axis=2).any()


def test_the_marks_can_be_taken_off(dialog: VersionDialog) -> None:
    dialog.marks.setChecked(False)

    later = dialog.pictures[1].colours
    assert later is not None
    assert not (later == MARK).all(axis=2).any()


def test_what_differs_is_said_in_words() -> None:
    assert pixels_text(compare((FIRST, SAME))).startswith("The pictures are the same in every pixel")
    assert pixels_text(compare((FIRST, FIRST[:16]))) == "The pictures are of different sizes."
    gone = Finding(Outcome.REFUSED, Reason.CHANGED_WHILE_READING)
    assert pixels_text(compare((FIRST, gone))).startswith("One of the pictures can't be read:")


def test_it_can_be_saved_once_it_is_chosen_and_said_why_and_by_whom(dialog: VersionDialog) -> None:
    told = []
    for step in (
        lambda: dialog.answers.choose(1),
        lambda: dialog.why.setText("so"),
        lambda: dialog.initials.setText("AB"),
    ):
        told.append((save_button(dialog).isEnabled(), save_button(dialog).toolTip()))
        step()

    assert told == [(False, "Choose which images count."), (False, "Say why."), (False, "Give your initials.")]
    assert save_button(dialog).isEnabled()


@pytest.mark.parametrize(("answer", "place"), [(0, 0), (1, 1), (2, None)])
def test_a_choice_goes_into_the_history_and_the_engine_looks_again_also_after_undo(
    context: Context, answer: int, place: int | None
) -> None:
    settled: list[str] = []
    context.running.engine.settle_identity = settled.append  # type: ignore[union-attr, method-assign]
    dialog = VersionDialog(IMAGES, compared_of((FIRST, LATER)), "AB")
    dialog.answers.choose(answer)
    dialog.why.setText("sent again")

    recorder_of(context).record("Choose version", dialog.entry(context, "two"))
    wait_until(lambda: settled == ["two"])
    choice = context.reading.version_choice("two")
    context.undo.undo()
    wait_until(lambda: settled == ["two", "two"])

    assert choice is not None
    assert (choice.place, choice.why, choice.initials) == (place, "sent again", "AB")
    assert choice.seen == {one.identity: one.seen for one in IMAGES}
    assert context.reading.version_choice("two") is None
    dialog.deleteLater()


def test_a_choice_can_be_taken_back_from_the_trail_and_made_again(context: Context) -> None:
    seen = {one.identity: one.seen for one in IMAGES}
    context.running.history.choose_version("two", 1, seen, why="sent again", initials="AB")
    trail = read_trail(context.reading, "two")
    assert trail is not None
    [entry] = [one for one in entries_of(trail) if one.kind is Kind.VERSION]
    assert entry.text == "version 2 of 2 images is used, sent again, AB"
    assert entry.can_be_taken_back
    settled: list[str] = []

    said = entry_of(entry, "two", context.running.history, "CD", settled.append)
    assert said is not None
    recorder_of(context).take_back("Take back", said)
    wait_until(lambda: settled == ["two"])
    assert context.reading.version_choice("two") is None
    context.undo.undo()
    wait_until(lambda: settled == ["two", "two"])

    again = context.reading.version_choice("two")
    assert isinstance(again, VersionChoice)
    assert (again.place, again.seen, again.why) == (1, seen, "sent again")


def test_a_choice_of_identity_can_be_taken_back_from_the_trail_as_well(context: Context) -> None:
    from aicorona_desktop.core.identities import PatientIdentity

    history = context.running.history
    doe, roe = PatientIdentity("1", "", "Doe"), PatientIdentity("2", "", "Roe")
    history.choose_identity("two", doe, [doe, roe], whole=False, initials="AB")
    trail = read_trail(context.reading, "two")
    assert trail is not None
    [entry] = [one for one in entries_of(trail) if one.kind is Kind.IDENTITY]
    settled: list[str] = []

    said = entry_of(entry, "two", history, "CD", settled.append)
    assert entry.can_be_taken_back
    assert said is not None
    recorder_of(context).take_back("Take back", said)
    wait_until(lambda: settled == ["two"])

    assert context.reading.identity_choice("two") is None
    [kept] = context.reading.identity_choices("two")
    assert (kept.taken_back, kept.taken_back_by) == (True, "CD")


def test_hidden_names_stay_hidden_beside_the_pictures(qapp: QApplication) -> None:
    versions = (version(1, "same", timedelta()), version(1, "same", timedelta(1), patient_id="4711"))
    dialog = VersionDialog([ImageVersions("1.9.1", versions)], compared_of((FIRST, SAME)), "AB", covered=True)
    dialog.show_first()

    [line] = table(dialog)
    assert line == ["Patient ID", "(hidden)", "(hidden)"]
    dialog.deleteLater()


def test_a_study_whose_files_are_gone_says_so(context: Context) -> None:
    row = context.reading.row("two")
    assert row is not None
    said: list[str] = []
    parent = QPushButton()

    ask_version(context, row, parent, said.append)
    wait_until(lambda: len(said) == 2)

    assert said[1].startswith("No file of this study can be read now")
    parent.deleteLater()
