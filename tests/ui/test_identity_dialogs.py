"""Whose study it is, chosen in the window; nothing is chosen beforehand, and Ctrl+Z takes it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QDialogButtonBox, QPushButton

from aicorona_desktop.app.identities import NameOffer
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.identities import PatientIdentity
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.triage.identities import Claim
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.identity_dialogs import IdentityDialog, NameDialog, ask_identity, claim_text
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.recorder import recorder_of
from tests import phantom
from tests.history.many import Made
from tests.ui.worklist_parts import NOW, context_of, wait_until

TWO = Finding(Outcome.UNSUITABLE, Reason.TWO_PATIENTS)
DOE = Claim(PatientIdentity("4711", "", "Doe^Jane"), "1970-01-01", "F", 20, 1)
ROE = Claim(PatientIdentity("4712", "", "Roe^Richard"), "", "M", 18, 2)


@pytest.fixture
def context(tmp_path: Path, qapp: QApplication) -> Iterator[Context]:
    made = Made("two", NOW, state=State.UNSUITABLE, findings=(TWO,))
    with context_of(tmp_path, [made]) as context:
        yield context


def save_button(dialog: IdentityDialog | NameDialog) -> QPushButton:
    (found,) = (
        one
        for one in dialog.buttons.buttons()
        if dialog.buttons.buttonRole(one) is QDialogButtonBox.ButtonRole.AcceptRole
    )
    assert isinstance(found, QPushButton)
    return found


def test_it_can_be_saved_once_a_person_has_said_whose_it_is_what_the_others_are_and_who_says_so(qapp: QApplication):
    dialog = IdentityDialog((DOE, ROE), "", None)
    save, told = save_button(dialog), []
    for step in (
        lambda: dialog.whose.choose(1),
        lambda: dialog.others.choose(0),
        lambda: dialog.initials.setText("AB"),
    ):
        told.append((save.isEnabled(), save.toolTip()))
        step()

    assert told == [
        (False, "Choose whose study it is."),
        (False, "Choose what becomes of the other files."),
        (False, "Give your initials."),
    ]
    assert save.isEnabled()
    assert claim_text(DOE) == "Doe, Jane, 4711, 1970-01-01, F: 20 images in 1 series"
    dialog.deleteLater()


def test_a_choice_goes_into_the_history_and_the_engine_looks_again_also_after_undo(context: Context):
    settled: list[str] = []
    context.running.engine.settle_identity = settled.append  # type: ignore[union-attr, method-assign]
    dialog = IdentityDialog((DOE, ROE), "AB", None)
    dialog.whose.choose(1)
    dialog.others.choose(1)

    recorder_of(context).record("Choose identity", dialog.entry(context, "two"))
    wait_until(lambda: settled == ["two"])
    choice = context.reading.identity_choice("two")
    context.undo.undo()
    wait_until(lambda: settled == ["two", "two"])

    assert choice is not None
    assert (choice.identity, choice.whole, choice.initials) == (ROE.identity, True, "AB")
    assert choice.seen == (DOE.identity, ROE.identity)
    assert context.reading.identity_choice("two") is None
    dialog.deleteLater()


def test_identities_are_not_compared_while_names_are_hidden(context: Context, qapp: QApplication):
    said: list[str] = []
    context.identities.hide(True)
    row = context.reading.row("two")
    assert row is not None
    parent = QPushButton()

    ask_identity(context, row, parent, said.append)

    assert said == ["Names are hidden. Show them first: here they must be compared."]
    parent.deleteLater()


def test_a_name_is_shown_as_it_was_read_and_the_file_s_own_after_undo(context: Context):
    dialog = NameDialog((NameOffer("Äåîà", ("cp1252",)), NameOffer("Жена^Анна", ("cp1251", "koi8_r"))), None)
    assert not save_button(dialog).isEnabled()
    dialog.choice.choose(1)

    recorder_of(context).record("Read name as", dialog.entry(context, "two"))
    wait_until(lambda: bool(_row(context).name_read_as))
    shown = context.identity(_row(context)).name
    context.undo.undo()
    wait_until(lambda: not _row(context).name_read_as)

    assert shown == "Жена, Анна (two identities)"
    assert [one.character_set for one in context.reading.name_readings("two")] == ["cp1251"]
    dialog.deleteLater()


def _row(context: Context) -> Row:
    row = context.reading.row("two")
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("finding", "shown"),
    [
        (None, "Doe, Jane"),
        (Finding(Outcome.WARNED, Reason.CHARACTER_SET), "Doe, Jane ?"),
        (Finding(Outcome.WARNED, Reason.CHARACTER_DECODE, name="PatientName"), "Doe, Jane ?"),
        (Finding(Outcome.WARNED, Reason.CHARACTER_DECODE, name="InstitutionName"), "Doe, Jane"),
        (TWO, "Doe, Jane (two identities)"),
    ],
)
def test_a_name_that_may_be_wrong_says_so_wherever_it_stands(finding: Finding | None, shown: str):
    row = Row("1", NOW, State.DONE, patient_name="Doe^Jane", findings=(finding,) if finding else ())

    assert Identities(b"k" * 32).of(row).name == shown
    if finding is TWO:
        assert "(two identities)" in Identities(b"k" * 32, hidden=True).of(row).name


def test_from_two_identities_in_the_window_to_a_score(
    window: MainWindow, dropped: Callable[..., object], tmp_path: Path
):
    mine = phantom.chest("mine").with_tags(PatientID="4711", PatientName="Doe^Jane")
    other = phantom.chest("other").with_tags(
        PatientID="4712", PatientName="Roe^Rick", StudyInstanceUID=mine.study_instance_uid
    )
    dropped(mine.written_to(tmp_path / "in" / "a"), other.without_slice(3).written_to(tmp_path / "in" / "b"))
    context = window.context
    assert context is not None
    uid, place = mine.study_instance_uid, window.places["worklist"]
    wait_until(lambda: place.model.row_of(uid) is not None, 10_000)
    place.go_to(uid)

    window.actions_by_name["worklist.choose_identity"].trigger()
    wait_until(lambda: place.findChild(IdentityDialog) is not None, 10_000)
    dialog = place.findChild(IdentityDialog)
    dialog.whose.choose(0)
    dialog.others.choose(0)
    save_button(dialog).click()
    wait_until(lambda: context.reading.row(uid).state is State.DONE, 30_000)

    row = context.reading.row(uid)
    assert row is not None
    assert (row.patient_id, row.slices_total, row.identity_conflict) == ("4711", 20, False)
