from __future__ import annotations

from pathlib import Path

import pytest

from aicorona_desktop.app.verification_labels import TEMPLATE, Key, KnownStudy, list_studies, match, read_labels
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.strict_csv import TableError
from tests import phantom


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


def test_the_example_table_is_read_with_each_kind_of_name(tmp_path: Path) -> None:
    rows = read_labels(table(tmp_path, TEMPLATE))

    assert [(row.line, row.key, row.label) for row in rows] == [
        (2, Key.STUDY, "covid"),
        (3, Key.FOLDER, "normal"),
        (4, Key.PATIENT, "cp"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("StudyInstanceUID,label\n1.2,pos\n", "line 2: label must be one of normal, cp, nca, other, covid"),
        ("StudyInstanceUID,label\n1.2,\n", "line 2: label must not be empty"),
        ("StudyInstanceUID,folder,label\n,,covid\n", "line 2: One of StudyInstanceUID, folder, PatientID"),
        ("StudyInstanceUID,klass\n1.2,covid\n", "line 1: The column label is missing"),
        ("StudyInstanceUID;label\n1.2;covid\n", "line 1: The columns are separated by semicolons"),
        ("StudyInstanceUID,label\n", "There is no row in it"),
    ],
)
def test_what_is_wrong_is_named_by_row_and_column(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TableError, match="The table of labels has a fault") as error:
        read_labels(table(tmp_path, text))

    assert said in str(error.value)


def test_other_words_for_a_class_and_capitals_are_taken(tmp_path: Path) -> None:
    rows = read_labels(table(tmp_path, "folder,label\na,NCA\nb,other\nc,Covid\nd,normal\n"))

    assert [row.label for row in rows] == ["cp", "cp", "covid", "normal"]


def test_a_folder_is_matched_by_uid_folder_patient_and_file_and_the_rest_is_told_both_ways(tmp_path: Path) -> None:
    few = phantom.chest().with_slices(3).with_matrix(64)
    for place, name in enumerate(("a", "b", "c", "d")):
        few.named(name).with_tags(PatientID=f"P-{place}").written_to(tmp_path / "cases" / name)
    with Reader() as reader:
        studies = list_studies(tmp_path / "cases", reader, lambda _: None, lambda: False)
    a = few.named("a").study_instance_uid
    text = f"StudyInstanceUID,folder,PatientID,label\n{a},,,covid\n,b,,normal\n,,P-2,nca\n,nowhere,,covid\n"

    matching = match(read_labels(table(tmp_path, text)), studies)

    assert matching.labelled == {
        few.named(name).study_instance_uid: label for name, label in (("a", "covid"), ("b", "normal"), ("c", "cp"))
    }
    assert [(one.row.line, one.studies) for one in matching.unmatched] == [(5, 0)]
    assert [one.study_instance_uid for one in matching.unlabelled] == [few.named("d").study_instance_uid]
    assert len(matching.studies[0].paths) == 3


def test_a_name_that_two_studies_share_is_not_guessed(tmp_path: Path) -> None:
    studies = [KnownStudy(uid, "P", (), frozenset()) for uid in ("1.1", "1.2")]

    matching = match(read_labels(table(tmp_path, "PatientID,label\nP,covid\n")), studies)

    assert not matching.labelled
    assert matching.unmatched[0].studies == 2


def test_two_labels_for_one_study_are_refused(tmp_path: Path) -> None:
    studies = [KnownStudy("1.1", "P", (), frozenset({"x"}))]

    with pytest.raises(TableError, match="line 3: label says normal, and line 2 says covid of it"):
        match(read_labels(table(tmp_path, "StudyInstanceUID,folder,label\n1.1,,covid\n,x,normal\n")), studies)
