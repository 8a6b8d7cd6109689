from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

from aicorona_desktop.evaluation import table_1
from aicorona_desktop.evaluation.manifest import read_manifest
from aicorona_desktop.evaluation.predictions import read_predictions
from aicorona_desktop.evaluation.readers import read_readers
from aicorona_desktop.evaluation.report.compare import Status, comparisons
from aicorona_desktop.evaluation.report.printed import printed
from aicorona_desktop.evaluation.report.statements import statements
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.rtpcr import read_tests
from aicorona_desktop.evaluation.synthetic_study import write_study

READERS = (
    *("Senior 1", "Senior 1+AI", "Senior 2", "Senior 2+AI"),
    *("Junior", "Junior+AI", "R. resident", "R.res.+AI"),
)


def test_the_manifest_has_table_1_to_the_last_cell(study_folder: Path):
    assert table_1.differences(read_manifest(study_folder / "manifest.csv").rows) == ()


def test_every_reader_number_of_tables_3_to_8_comes_out_as_printed(study: Study):
    of_readers = [one for one in comparisons(study) if one.cell.status == "reproduced" and one.cell.row in READERS]

    assert len(of_readers) == 224  # 8 rows of 4 figures in 7 tables
    assert {one.status for one in of_readers} == {Status.SAME}


def test_the_readers_counts_are_those_derived_from_the_paper(study: Study):
    derived = {(cell.task, cell.row): cell.counts for cell in printed() if cell.row in READERS}

    for task, answers in study.answers.readers.items():
        for one in answers:
            assert one.counts == derived[task, one.read.name]


def test_the_readers_minutes_are_those_of_table_2(study: Study):
    minutes = [one for one in comparisons(study) if one.cell.table == "2" and one.cell.row != "ai-corona"]

    assert [round(one.ours.value, 3) for one in minutes] == [360, 300, 320, 400]


def test_the_areas_lie_near_the_printed_ones(study: Study):
    areas = [one for one in comparisons(study) if one.cell.metric == "auc" and one.cell.status == "needs_scores"]

    assert len(areas) == 8
    assert max(abs(one.difference) for one in areas) < 0.01


def test_the_best_and_the_worst_rtpcr_day_are_those_stated(study: Study):
    assert study.pcr is not None
    best, worst = study.pcr.best, study.pcr.series.worst

    assert best is not None
    assert worst is not None
    assert round(best.day.sensitivity.value, 3) == 0.722
    assert (round(worst.sensitivity.value, 3), worst.day) == (0.351, date(2020, 4, 29))


def test_the_rtpcr_series_has_the_papers_subjects_and_tests(study_folder: Path):
    tests = read_tests(study_folder / "rtpcr.csv")

    assert len(tests) == 6419
    assert len({one.subject_id for one in tests}) == 2672


def test_the_joint_statements_are_those_of_the_paper(study: Study):
    first, second, third = statements(study)[:3]

    assert "Of 119 COVID-19 scans of the MDH test set 111 were called so" in first
    assert "Of the other 8 the model called 1 and 3 had a positive RT-PCR." in second
    assert "111 of 114, 0.974" in third


def test_another_seed_gives_other_scores_and_the_same_reader_counts(tmp_path: Path, study_folder: Path):
    write_study(tmp_path, seed=1, pictures=False)
    first, other = (read_predictions(folder / "predictions.csv") for folder in (study_folder, tmp_path))
    calls = [
        Counter((row.reader_id, row.reading_pass, row.call) for row in read_readers(folder / "readers.csv"))
        for folder in (study_folder, tmp_path)
    ]

    assert [one.probabilities for one in first] != [one.probabilities for one in other]
    assert calls[0] == calls[1]


def test_a_seed_gives_the_same_files_again(tmp_path: Path, study_folder: Path):
    write_study(tmp_path, seed=0, pictures=False)

    for name in ("manifest.csv", "predictions.csv", "readers.csv", "rtpcr.csv"):
        assert (tmp_path / name).read_bytes() == (study_folder / name).read_bytes()


def test_no_reader_sees_the_scans_in_the_same_order_twice(study_folder: Path):
    orders: dict[tuple[str, int], list[str]] = {}
    for row in read_readers(study_folder / "readers.csv"):
        orders.setdefault((row.reader_id, row.reading_pass), []).append(row.scan_id)

    assert len(orders) == 8
    assert len({tuple(order) for order in orders.values()}) == 8
    assert {len(order) for order in orders.values()} == {357 + 395}
