"""The figures: that all is drawn that should be, in colours and sizes that everybody can read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.evaluation.cases import Case
from aicorona_desktop.evaluation.manifest import Layout
from aicorona_desktop.evaluation.report import drawing, figures_cases, figures_counts, figures_roc, figures_schema
from aicorona_desktop.evaluation.report.drawing import Marks
from aicorona_desktop.evaluation.report.figures import figures_of
from aicorona_desktop.evaluation.report.inputs import Inputs
from aicorona_desktop.evaluation.report.maps import Maps, mapped_cases
from aicorona_desktop.evaluation.report.pictures import Missing, Picture
from aicorona_desktop.evaluation.report.study import Study
from aicorona_desktop.evaluation.synthetic_scan import draw_scan
from tests.evaluation.test_report import computed

MARKS = Marks(("senior1", "senior2", "junior", "resident"))


@pytest.fixture(scope="module")
def pictures(study: Study) -> dict[str, Picture | Missing]:
    return {one.name: one for one in figures_of(study, Maps())}


def test_all_figures_without_images_are_drawn(pictures: dict[str, Picture | Missing]):
    missing = [name for name, one in pictures.items() if isinstance(one, Missing)]

    assert list(pictures) == [f"fig_{number:02d}" for number in range(1, 11)]
    assert missing == ["fig_06", "fig_07"]


def test_every_file_is_what_its_suffix_says(pictures: dict[str, Picture | Missing]):
    for one in pictures.values():
        if isinstance(one, Picture):
            assert ET.fromstring(one.svg).tag == "{http://www.w3.org/2000/svg}svg"
            assert one.png.startswith(b"\x89PNG")


def test_the_words_for_a_figure_say_its_numbers(pictures: dict[str, Picture | Missing]):
    words = {name: one.alt for name, one in pictures.items() if isinstance(one, Picture)}

    assert "best 0.722 around 2020-09-08, 114 of 158 subjects; lowest 0.351 around 2020-04-29" in words["fig_02"]
    assert "[[168, 86], [47, 809]]" in words["fig_03"]
    assert "RT-PCR line at 0.722" in words["fig_04"]
    assert "Senior 1+AI at sensitivity 0.908, specificity 0.987" in words["fig_04"]
    assert "Junior sensitivity 0.636, specificity 0.897, F1 0.700, kappa 0.555" in words["fig_05"]
    assert "training 1518 (1590); tuning 168 (174); test 346 (357)" in words["fig_08"]
    assert "21 to 46 slices" in words["fig_09"]


def test_the_same_study_gives_the_same_bytes(study: Study):
    first, second = (figures_schema.figure_8(study) for _ in range(2))

    assert isinstance(first, Picture)
    assert first == second


def test_the_corner_that_is_enlarged_holds_every_mark(study: Study):
    for table in ("3a", "3b", "3c"):
        task = study.task(table)
        right, bottom = figures_roc._zoom(study, task)

        for caller in study.callers[task.id]:
            se, sp = caller.figure("sensitivity").value, caller.figure("specificity").value
            if not np.isnan(se + sp):
                assert 1 - sp <= right
                assert se >= bottom


def test_the_models_matrix_is_that_of_its_operating_point(study: Study):
    counts = study.answers.model["mdh_covid_vs_rest"].counts
    (matrix,) = (table for title, _, table in figures_counts._matrices(study) if title.startswith("d"))

    assert counts is not None
    assert matrix[2, 2] == counts.true_positives
    assert matrix[:2, 2].sum() == counts.false_positives
    assert matrix.sum() == 357


def test_marks_of_readers_differ_in_shape_and_not_only_in_colour():
    shapes = [shape for shape, _ in drawing._READERS]

    assert len(set(shapes)) == len(shapes)


def test_no_text_is_smaller_than_8_points():
    sizes = [value for key, value in drawing._STYLE.items() if key.endswith("size") and "line" not in key]

    assert min(sizes) >= 8


def test_hollow_is_unaided_and_filled_is_aided(study: Study):
    callers = {one.name: one for one in study.callers["mdh_covid_vs_rest"]}

    assert MARKS.of(callers["Junior"])["markerfacecolor"] == "white"
    assert MARKS.of(callers["Junior+AI"])["markerfacecolor"] != "white"


def test_with_the_papers_marks_triangles_are_unaided_and_circles_aided(study: Study):
    callers = {one.name: one for one in study.callers["mdh_covid_vs_rest"]}
    marks = replace(MARKS, as_paper=True)

    assert (marks.of(callers["Junior"])["marker"], marks.of(callers["Junior+AI"])["marker"]) == ("^", "o")
    assert "white" not in (marks.of(callers[name])["markerfacecolor"] for name in ("Junior", "Junior+AI"))


def test_a_study_of_one_cohort_without_readers_has_figures_with_what_there_is(study: Study):
    inputs = study.inputs
    mdh = tuple(row for row in inputs.rows if row.cohort == "MDH")
    assert inputs.manifest is not None
    small = computed(replace(inputs, manifest=replace(inputs.manifest, rows=mdh), readers=None, pcr_tests=None))

    four = figures_roc.figure_4(small, Marks(()))

    assert isinstance(four, Picture)
    assert "CC-CCII: no model scores" in four.alt
    assert isinstance(figures_counts.figure_2(small), Missing)
    assert isinstance(figures_counts.figure_5(small, Marks(())), Picture)


def test_without_a_manifest_only_the_diagram_and_rtpcr_are_drawn(study: Study, tmp_path: Path):
    empty = computed(Inputs(folder=tmp_path, pcr_tests=study.inputs.pcr_tests))

    drawn = [one.name for one in figures_of(empty, Maps()) if isinstance(one, Picture)]

    assert drawn == ["fig_01", "fig_02"]
    assert isinstance(figures_schema.figure_8(empty), Missing)


def test_slices_are_mapped_by_the_programs_own_scorer_and_drawn(study: Study, tmp_path: Path):
    row = next(row for row in study.inputs.rows if row.cohort == "MDH" and row.split == "test")
    row = replace(row, path="images/one", layout=Layout.DICOM)
    draw_scan(tmp_path / "images" / "one", "one", 1, slices=16)
    cases = (Case(figure="6", panel="a", scan_id=row.scan_id), Case(figure="7", panel="a", scan_id=row.scan_id))

    maps = mapped_cases(cases, [row], tmp_path, chosen_pack(None), "cpu")

    assert maps.lost == ()
    six, seven = maps.of_figure("6")[0], maps.of_figure("7")[0]
    assert [len(six.slices), len(seven.slices)] == [5, 1]
    assert all(4 <= shown.index < 12 for shown in six.slices)
    assert any((shown.mapped != shown.grey[..., None]).any() for shown in six.slices)
    assert isinstance(figures_cases.figure_6(study, maps), Picture)
    picture = figures_cases.figure_7(study, maps)
    assert isinstance(picture, Picture)
    assert "Unaided:" in picture.alt


def test_a_case_whose_images_are_gone_is_named(study: Study, tmp_path: Path):
    row = replace(study.inputs.rows[0], path="images/gone")
    case = Case(figure="7", panel="b", scan_id=row.scan_id)

    maps = mapped_cases((case,), [row], tmp_path, chosen_pack(None), "cpu")

    with_cases = replace(study, inputs=replace(study.inputs, cases=(case,)))
    figure = figures_cases.figure_7(with_cases, maps)
    assert isinstance(figure, Missing)
    assert "Figure 7 b: The scan" in figure.needs
