"""What an import brought: one sentence in which every file is counted once, and the table behind it."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest

from aicorona_desktop.core.events import ImportDone
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.imports import Fate, ImportedFile, ImportSummary
from aicorona_desktop.ui.import_summary import ORDER, ImportLine, ImportModel, as_csv, count_of, summary_text
from tests.history.made_up import NOW
from tests.ui.worklist_parts import context_of, wait_until


def files(**counts: int) -> tuple[ImportedFile, ...]:
    """Files by what became of them; every second image belongs to another study."""
    made = [ImportedFile(f"CT/{n}.dcm", Outcome.SCORED, None, f"1.{n % 2}") for n in range(counts.get("images", 0))]
    made += [ImportedFile(f"old/{n}.dcm", Outcome.SCORED, None, "1.0", True) for n in range(counts.get("known", 0))]
    no_dicom = Finding(Outcome.IGNORED, Reason.JUNK)
    made += [ImportedFile(f"read{n}.txt", Outcome.IGNORED, no_dicom) for n in range(counts.get("not_dicom", 0))]
    broken = Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData")
    made += [ImportedFile(f"bad{n}.dcm", Outcome.REFUSED, broken, "1.0") for n in range(counts.get("damaged", 0))]
    localizer = Finding(Outcome.IGNORED, Reason.LOCALIZER)
    made += [ImportedFile(f"loc{n}.dcm", Outcome.IGNORED, localizer, "1.0") for n in range(counts.get("ignored", 0))]
    return tuple(made)


def summary(
    label: str = "", *, cancelled: bool = False, trouble: str = "", number: int = 1, **counts: int
) -> ImportSummary:
    return ImportSummary(number, label, NOW, NOW + timedelta(seconds=4), files(**counts), cancelled, trouble)


@pytest.fixture
def line(qtbot, tmp_path):
    with context_of(tmp_path) as context:
        line = ImportLine(context)
        qtbot.addWidget(line)
        yield line


def done(line: ImportLine, one: ImportSummary) -> None:
    line._context.bridge.import_done.emit(ImportDone(one))


def test_the_sentence_is_that_of_the_specification(qapp):
    told = summary_text(summary(images=398, known=9, not_dicom=3, damaged=2))

    assert told == ("412 files: 398 images in 2 studies, 9 already known, 3 not DICOM, 2 damaged or not readable")


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({}, "0 files"),
        ({"images": 1}, "1 file: 1 image in 1 study"),
        ({"images": 2, "ignored": 1}, "3 files: 2 images in 2 studies, 1 with nothing to score"),
    ],
)
def test_what_there_is_none_of_is_not_said(qapp, counts, sentence):
    assert summary_text(summary(**counts)) == sentence


def test_every_file_is_in_exactly_one_of_the_numbers(qapp):
    one = summary(images=5, known=4, not_dicom=3, damaged=2, ignored=1)

    assert set(ORDER) == set(Fate)
    assert sum(count_of(fate, one.counts) for fate in ORDER) == len(one.files) == 15


def test_an_import_that_was_stopped_or_broke_off_says_so(qapp):
    assert summary_text(summary("CD", cancelled=True, images=1)) == (
        "CD – 1 file: 1 image in 1 study. Stopped; what was read is kept."
    )
    assert summary_text(summary(trouble="The disc is gone.", images=1)).endswith("The disc is gone.")


def test_the_line_appears_with_the_import_and_goes_when_it_is_put_away(line):
    assert line.isHidden()

    done(line, summary("CD", images=2))

    assert not line.isHidden()
    assert line.text.text() == "CD – 2 files: 2 images in 2 studies"
    QTest.mouseClick(line.away, Qt.MouseButton.LeftButton)
    assert line.isHidden()


def test_the_table_names_every_file_with_its_reason(line, qtmodeltester):
    done(line, summary(images=2, known=1, not_dicom=1, damaged=1, ignored=1))

    dialog = line.show_table()

    qtmodeltester.check(dialog.model)
    assert dialog.lines() == [
        ("File", "What became of it", "Reason", "Study"),
        ("CT/0.dcm", "Taken as an image", "", "1"),
        ("CT/1.dcm", "Taken as an image", "", "2"),
        ("old/0.dcm", "Already known", "", "1"),
        ("read0.txt", "Not DICOM", "No image: a file of another program.", ""),
        ("bad0.dcm", "Damaged or not readable", str(Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData")), "1"),
        ("loc0.dcm", "Nothing to score", "Localizer.", "1"),
    ]


def test_one_kind_of_files_can_be_picked_out_and_copied(line, qtmodeltester):
    done(line, summary(images=2, damaged=1))
    dialog = line.show_table()
    assert [dialog._fate.itemText(at) for at in range(dialog._fate.count())] == [
        "All files",
        "Taken as an image (2)",
        "Damaged or not readable (1)",
    ]

    dialog._fate.setCurrentIndex(2)
    dialog.copy()

    qtmodeltester.check(dialog.shown)
    copied = QGuiApplication.clipboard().text().splitlines()
    assert [one.split("\t")[0] for one in copied] == ["File", "bad0.dcm"]


def test_the_table_is_saved_as_csv_that_reads_back(line, tmp_path):
    done(line, summary(images=1, damaged=1))
    dialog = line.show_table()

    dialog.save_to(tmp_path / "out.csv")

    wait_until(lambda: dialog.sentence.text() == "Saved as out.csv.")
    text = (tmp_path / "out.csv").read_bytes().decode("utf-8-sig")
    assert [tuple(one) for one in csv.reader(io.StringIO(text))] == dialog.lines()


def test_a_folder_that_cannot_be_written_to_is_said(line, tmp_path):
    done(line, summary(images=1))
    dialog = line.show_table()

    dialog.save_to(tmp_path / "missing" / "out.csv")

    wait_until(lambda: "could not be saved" in dialog.sentence.text())


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", 'Обзор,\n"CT"', "影像", "a\ud800b"])
def test_no_file_name_becomes_a_formula_or_breaks_the_table(name):
    [[cell]] = list(csv.reader(io.StringIO(as_csv([[name]]).decode("utf-8-sig"), newline="")))

    assert cell[0] not in "=+-@\t\r"
    assert cell.lstrip("'").replace("?", "") == name.replace("\ud800", "")


def test_while_names_are_hidden_files_go_by_number(line):
    done(line, summary(images=1, damaged=1))
    dialog = line.show_table()

    line._context.identities.hide(True)

    assert [one[0] for one in dialog.lines()] == ["File", "File 1", "File 2"]


def test_imports_of_the_session_can_be_looked_at_again(line):
    done(line, summary("CD", images=1, number=1))
    done(line, summary("Stick", images=2, number=2))
    dialog = line.show_table()
    assert dialog.sentence.text().startswith("Stick – 2 files")

    dialog._source.setCurrentIndex(1)

    assert dialog.sentence.text().startswith("CD – 1 file")
    assert dialog.model.rowCount() == 1


def test_a_hundred_thousand_files_are_no_trouble(qapp):
    model = ImportModel()

    model.show(summary(images=100_000))

    assert model.rowCount() == 100_000
    assert model.index(99_999, 0).data() == "CT/99999.dcm"
