from __future__ import annotations

from pathlib import Path

import pytest

from aicorona_desktop.evaluation.cases import Case, read_cases, write_cases
from aicorona_desktop.evaluation.readers import COLUMNS, ReaderRow, read_readers, write_readers
from aicorona_desktop.evaluation.report.inputs import InputError, read_inputs
from aicorona_desktop.evaluation.strict_csv import TableError

HEADER = ",".join(COLUMNS)
READING = "senior1,senior,15,scan-1,1,0,1,1,2020-09-20T08:00:00,41.5,0,0,0,1,covid,,,,0,"


def readers_csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "readers.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def faults_of(path: Path) -> list[str]:
    with pytest.raises(TableError) as told:
        read_readers(path)
    return [str(fault) for fault in told.value.faults]


def test_a_reading_is_read_as_it_stands(tmp_path: Path):
    (row,) = read_readers(readers_csv(tmp_path, READING))

    assert (row.reader_id, row.years, row.scan_id, row.reading_pass, row.aided) == ("senior1", 15, "scan-1", 1, False)
    assert (row.call, row.seconds, row.yes_covid, row.map_opened) == ("covid", 41.5, True, None)


def test_readings_are_read_back_as_they_were_written(tmp_path: Path):
    rows = tuple(
        ReaderRow(
            reader_id="junior",
            reader_level="junior",
            scan_id=f"scan-{number}",
            reading_pass=2,
            aided=True,
            order_index=number,
            chunk=1,
            seconds=12.25,
            idle_cut=True,
            yes_normal=number == 1,
            yes_cp=False,
            yes_covid=number == 2,
            call={1: "normal", 2: "covid"}.get(number, ""),
            confidence_covid=55.0,
            shown_p_covid=0.125,
            map_opened=False,
            note="a, b",
        )
        for number in (1, 2, 3)
    )

    write_readers(tmp_path / "readers.csv", rows)

    assert read_readers(tmp_path / "readers.csv") == rows


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("senior,15", "chief,15"), "line 2: reader_level must be one of senior, junior, resident, other."),
        ((",1,0,1,1,", ",3,0,1,1,"), "line 2: pass must be a whole number from 1 to 2."),
        ((",1,0,1,1,", ",1,yes,1,1,"), "line 2: aided must be one of 0, 1."),
        (("scan-1", ""), "line 2: scan_id must not be empty."),
        (("41.5", "-1"), "line 2: seconds must be a number with a decimal point, from 0 to 1e+06."),
        (("0,0,1,covid", "0,0,1,cp"), "line 2: call must be covid."),
        (("0,0,1,covid", "0,1,1,covid"), "line 2: call must be empty, as there is not exactly one Yes."),
        ((",,,,0,", ",,0.5,,0,"), "line 2: shown_p_covid must be empty, as aided is 0."),
        (("2020-09-20T08:00:00", "yesterday"), "line 2: started_at must be a time such as 2020-03-31T14:05:00."),
        ((READING, "senior1,senior"), "line 2: There are 2 cells, where the header has 20."),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(change: tuple[str, str], fault: str, tmp_path: Path):
    assert faults_of(readers_csv(tmp_path, READING.replace(*change, 1))) == [fault]


def test_all_faults_are_named_at_once(tmp_path: Path):
    path = readers_csv(tmp_path, READING.replace("41.5", "x"), READING.replace("scan-1", ""))

    assert len(faults_of(path)) == 2


def test_a_scan_is_read_once_a_pass_and_a_place_is_taken_once(tmp_path: Path):
    again = faults_of(readers_csv(tmp_path, READING, READING))

    assert again == [
        "line 3: scan_id stands in line 2 already, for the same reader and pass.",
        "line 3: order_index stands in line 2 already, for the same reader and pass.",
    ]


def test_a_missing_column_is_named(tmp_path: Path):
    path = readers_csv(tmp_path, READING, header=HEADER.replace("aided", "helped"))

    assert faults_of(path) == ["line 1: The column aided is missing."]


def test_text_that_is_not_utf_8_is_no_table(tmp_path: Path):
    path = readers_csv(tmp_path, READING)
    path.write_bytes(path.read_bytes() + "é".encode("latin-1"))

    assert "UTF-8" in faults_of(path)[0]


def test_cases_are_read_back_as_they_were_written(tmp_path: Path):
    cases = (
        Case(figure="6", panel="a", scan_id="x", slice_index=3),
        Case(figure="7", panel="a", scan_id="y", note="n"),
    )

    write_cases(tmp_path / "cases.csv", cases)

    assert read_cases(tmp_path / "cases.csv") == cases


def test_two_cases_cant_be_the_same_panel(tmp_path: Path):
    (tmp_path / "cases.csv").write_text("figure,panel,scan_id\n7,a,x\n7,a,y\n")

    with pytest.raises(TableError, match="line 3: panel stands in line 2 already"):
        read_cases(tmp_path / "cases.csv")


# --- files against one another -----------------------------------------------------------------------------------


def linked(source: Path, folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_bytes((source / name).read_bytes())
    return folder


def test_what_is_not_there_is_no_fault(study_folder: Path, tmp_path: Path):
    found = read_inputs(linked(study_folder, tmp_path, "rtpcr.csv"))

    assert found.missing == ("manifest.csv", "predictions.csv", "readers.csv", "points.csv", "cases.csv")
    assert len(found.pcr_tests or ()) == 6419


def test_an_empty_folder_is_no_study(tmp_path: Path):
    with pytest.raises(InputError, match=r"There is none of manifest\.csv"):
        read_inputs(tmp_path)


def test_a_reading_of_a_scan_that_the_manifest_lacks_is_a_fault(study_folder: Path, tmp_path: Path):
    folder = linked(study_folder, tmp_path, "manifest.csv")
    readers_csv(folder, READING)

    with pytest.raises(InputError, match=r"readers\.csv: scan_id scan-1 is not in manifest\.csv\."):
        read_inputs(folder)


def test_faults_of_several_files_are_told_together(study_folder: Path, tmp_path: Path):
    folder = linked(study_folder, tmp_path, "rtpcr.csv")
    readers_csv(folder, READING.replace("41.5", "x"))
    (folder / "cases.csv").write_text("figure,panel,scan_id\n8,a,x\n")

    with pytest.raises(InputError) as told:
        read_inputs(folder)

    assert [sentence.partition(":")[0] for sentence in told.value.sentences] == ["readers.csv", "cases.csv"]


def two_models(source: Path, folder: Path) -> Path:
    lines = (source / "predictions.csv").read_text().splitlines()
    other = [line.replace("made-up", "other", 1) for line in lines[1:]]
    other = [line.replace(line.split(",")[2], "f" * 64, 1) for line in other]
    (folder / "predictions.csv").write_text("\n".join([*lines, *other]) + "\n")
    return folder


def test_predictions_of_several_models_need_a_name(study_folder: Path, tmp_path: Path):
    folder = two_models(study_folder, tmp_path)

    with pytest.raises(InputError, match="rows of several models"):
        read_inputs(folder)

    found = read_inputs(folder, model_id="other")
    assert {one.model_id for one in found.predictions or ()} == {"other"}


def test_a_model_that_is_not_there_is_told(study_folder: Path):
    with pytest.raises(InputError, match="no row of the model"):
        read_inputs(study_folder, model_id="nobody")
