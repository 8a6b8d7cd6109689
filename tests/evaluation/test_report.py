"""The tables, the statements and the page, from the files of a made-up study."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.cli.main import run as command
from aicorona_desktop.evaluation.comparisons import least_exact_p
from aicorona_desktop.evaluation.operating_points import Rule
from aicorona_desktop.evaluation.points_file import read_points
from aicorona_desktop.evaluation.report.answers import Wishes
from aicorona_desktop.evaluation.report.callers import F1, Kind
from aicorona_desktop.evaluation.report.compare import Status, comparisons
from aicorona_desktop.evaluation.report.errata import errata, of_table
from aicorona_desktop.evaluation.report.inputs import Inputs, read_inputs
from aicorona_desktop.evaluation.report.page import Content, page
from aicorona_desktop.evaluation.report.statements import CONFOUND, statements
from aicorona_desktop.evaluation.report.study import Study, model_seconds, study_of
from aicorona_desktop.evaluation.report.tables import sheets_of
from aicorona_desktop.evaluation.report.writing import ReportWishes, make_report
from tests.evaluation.conftest import TODAY

QUICK = Wishes(rounds=0)
FIGURES = "aicorona_desktop.evaluation.report.figures"


def computed(inputs: Inputs, f1: F1 = F1.STANDARD, wishes: Wishes = QUICK) -> Study:
    return study_of(inputs, wishes, f1, TODAY)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def report(study_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the whole study, made once, with the figures."""
    out = tmp_path_factory.mktemp("report")
    make_report(study_folder, out, ReportWishes(figures=Wishes(rounds=50)), TODAY)
    return out


# --- tables ------------------------------------------------------------------------------------------------------


def test_the_rows_of_a_table_stand_in_the_papers_order(report: Path):
    names = [row["row"] for row in rows_of(report / "table_3.csv") if row["table"] == "3b"]

    assert names == [
        *("ai-corona", "RT-PCR", "Senior 1", "Senior 1+AI", "Senior 2", "Senior 2+AI"),
        *("Junior", "Junior+AI", "R. resident", "R.res.+AI"),
    ]


def test_quoted_numbers_are_marked_and_the_probable_slip_is_left_out(report: Path):
    (jin,) = (row for row in rows_of(report / "table_3.csv") if row["row"].startswith("Jin") and row["table"] == "3a")

    assert jin["from"] == "from publication"
    assert (jin["specificity"], jin["auc"], jin["sensitivity"]) == ("0.78", "0.921", "")


def test_the_intervals_of_a_reader_are_those_of_the_papers_counts(report: Path):
    (row,) = (row for row in rows_of(report / "table_3.csv") if row["row"] == "Senior 1+AI" and row["table"] == "3a")

    assert (row["TP"], row["FN"], row["FP"], row["TN"]) == ("134", "9", "13", "239")
    assert float(row["sensitivity"]) == pytest.approx(134 / 143)
    assert float(row["sensitivity_low"]) < float(row["sensitivity"]) < float(row["sensitivity_high"])


def test_several_scans_of_one_subject_get_intervals_by_subject(report: Path):
    (model,) = (row for row in rows_of(report / "table_3.csv") if row["row"] == "ai-corona" and row["table"] == "3b")

    assert float(model["auc_subject_low"]) < float(model["auc"]) < float(model["auc_subject_high"])
    assert float(model["design_effect_sensitivity"]) > 0


def test_table_2_has_our_own_seconds_with_percentiles_and_the_device(report: Path):
    model, *readers = rows_of(report / "table_2.csv")

    assert float(model["seconds_5th"]) < float(model["median_seconds"]) < float(model["seconds_95th"])
    assert model["device"] == "made up"
    assert [float(row["minutes"]) for row in readers if "+" not in row["row"]] == pytest.approx([360, 300, 320, 400])


def test_seconds_are_those_of_the_mdh_test_scans_that_were_scored(study: Study):
    scans = study.mdh_test_scans()
    expected = [one.ms_total / 1000 for one in study.inputs.predictions or () if one.scan_id in scans and one.ms_total]

    seconds = model_seconds(study)

    assert seconds is not None
    assert seconds.scans == 357
    assert seconds.total == pytest.approx(sum(expected))
    assert seconds.median == pytest.approx(np.median(expected))


def test_as_printed_the_models_f1_is_the_harmonic_mean_and_the_readers_stay(study: Study):
    printed = replace(study, f1=F1.AS_PRINTED)
    tables = [{sheet.name: sheet for sheet in sheets_of(one)}["table_4"] for one in (study, printed)]
    rows = [[dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables]

    assert rows[1][0]["f1"] == rows[0][0]["hm_se_sp"] != rows[0][0]["f1"]
    assert [row["f1"] for row in rows[1][1:]] == [row["f1"] for row in rows[0][1:]]


def test_every_printed_cell_is_compared_and_the_misprints_come_out_right(study: Study):
    found = comparisons(study)

    assert len(found) == 377
    assert [one.cell.row for one in found if one.status is Status.CORRECTED] == ["MDH/normal", "CC-CCII/cp"]
    assert {one.cell.row for one in found if one.status is Status.QUOTED} == {"Zhang et al. [24]", "Jin et al. [26]"}
    assert not [one for one in found if one.status is Status.NOT_AVAILABLE]


def test_errata_stand_below_the_tables_that_they_touch(study: Study):
    (part,) = {sheet.name: sheet for sheet in sheets_of(study)}["table_7"].parts

    assert len(errata()) == 38
    assert set(of_table("7")) <= set(part.notes)
    assert "third of five" in " ".join(part.notes)


# --- tests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "reader", "sensitivity_net", "specificity_net"),
    [
        ("3a", "Senior 1+AI", 6, -2),
        ("3a", "Junior+AI", 20, 4),
        ("3a", "R.res.+AI", 2, 29),
        ("3b", "Senior 2+AI", 0, 3),
        ("3b", "Junior+AI", 11, 2),
        ("3b", "R.res.+AI", 2, 11),
    ],
)
def test_aided_changes_are_the_papers_net_changes(
    table: str, reader: str, sensitivity_net: int, specificity_net: int, study: Study
):
    nets = {
        one.figure: one.discordant.first_only - one.discordant.second_only
        for one in study.aided_unaided
        if one.task.table == table and one.first == reader
    }

    assert (nets["sensitivity"], nets["specificity"]) == (sensitivity_net, specificity_net)


def test_p_values_are_adjusted_within_one_table_and_figure(study: Study):
    family = [one for one in study.aided_unaided if one.task.table == "3a" and one.figure == "sensitivity"]
    raw = sorted(one.discordant.mcnemar_exact for one in family)

    assert len(family) == 4
    assert raw[0] == pytest.approx(least_exact_p(20))  # nobody changed to the worse in the made-up study
    assert min(one.judged.holm_p for one in family) == pytest.approx(4 * raw[0])


def test_readers_are_compared_with_the_model_on_the_scans_of_both(study: Study):
    (one,) = (
        one
        for one in study.readers_model
        if one.task.table == "3b" and one.first == "Junior" and one.figure == "sensitivity"
    )
    model = study.answers.model["mdh_covid_vs_rest"].counts

    assert model is not None
    assert one.discordant.total == 119
    assert one.discordant.first_only - one.discordant.second_only == 91 - model.true_positives


def test_the_order_of_passes_is_named_as_a_confound_only_where_it_is_one(study: Study, study_folder: Path):
    inputs = read_inputs(study_folder)
    crossed = tuple(
        replace(row, reading_pass=3 - row.reading_pass) if row.reader_id == "junior" else row
        for row in inputs.readers or ()
    )

    assert CONFOUND in statements(study)
    assert CONFOUND not in statements(computed(replace(inputs, readers=crossed)))


# --- what is missing ---------------------------------------------------------------------------------------------


def test_without_predictions_the_readers_tables_are_still_there(study_folder: Path):
    inputs = replace(read_inputs(study_folder), predictions=None, points=None)

    study = computed(inputs)

    kinds = {one.kind for one in study.callers["mdh_covid_vs_rest"]}
    assert kinds == {Kind.OTHER_DATA, Kind.READER}
    assert study.answers.model_needs["mdh_covid_vs_rest"] == "predictions.csv"
    assert {sheet.name for sheet in sheets_of(study) if not sheet.available} == {
        *("table_9", "readers_model", "failed_as_wrong"),
    }


def test_without_readers_the_model_stands_alone(study_folder: Path):
    study = computed(replace(read_inputs(study_folder), readers=None, pcr_tests=None))

    assert [one.name for one in study.callers["mdh_covid_vs_normal"]] == ["ai-corona"]
    assert statements(study) == ()


def test_without_points_they_are_chosen_on_the_tuning_scans_and_written(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, FIGURES, None)  # the tables alone are looked at
    folder, out = tmp_path / "study", tmp_path / "out"
    folder.mkdir()
    for name in ("manifest.csv", "predictions.csv"):
        (folder / name).write_bytes((study_folder / name).read_bytes())

    made = make_report(folder, out, ReportWishes(figures=QUICK), TODAY)

    points = read_points(out / "points.csv")
    assert {stored.point.rule for stored in points} == {Rule.A}
    assert len(points) == 7  # MosMedData has no tuning scans
    assert any("Table 3c, ai-corona but for its AUC: not available." in sentence for sentence in made.missing)


def test_a_point_of_another_model_is_refused_and_the_auc_stays(study_folder: Path):
    inputs = read_inputs(study_folder)
    others = tuple(replace(stored, model_sha256="0" * 64) for stored in inputs.points or ())

    model = computed(replace(inputs, points=others)).answers.model["mdh_covid_vs_rest"]

    assert model.calls is None
    assert model.notes[0].startswith("This operating point was chosen with another model")
    assert 0.98 < model.assessment.auc.value < 1


def test_failed_scans_are_counted_and_at_worst_called_wrong(study_folder: Path):
    inputs = read_inputs(study_folder)
    scans = inputs.rows
    lost = {row.scan_id for row in scans if row.cohort == "MDH" and row.split == "test" and row.label_raw == "covid"}
    lost = set(sorted(lost)[:5])
    predictions = tuple(
        replace(one, status="failed", probabilities=None, logits=None) if one.scan_id in lost else one
        for one in inputs.predictions or ()
    )

    model = computed(replace(inputs, predictions=predictions)).answers.model["mdh_covid_vs_rest"]

    assert model.counts is not None
    assert model.failed_as_wrong is not None
    assert model.counts.positives == 114
    assert model.failed_as_wrong.false_negatives == model.counts.false_negatives + 5
    assert any("5 of 357 scans failed" in note for note in model.notes)


def test_a_reader_who_left_scans_out_is_counted_on_the_others(study_folder: Path):
    inputs = read_inputs(study_folder)
    kept = tuple(row for row in inputs.readers or () if row.reader_id != "junior" or row.order_index > 100)

    study = computed(replace(inputs, readers=kept))

    (junior,) = (one for one in study.callers["mdh_covid_vs_rest"] if one.name == "Junior")
    assert junior.counts is not None
    assert junior.counts.total < 357
    assert "have no reading" in " ".join(junior.notes)


# --- the page and the command ------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The ids, links, images and texts of a page; every element that must be closed is."""

    VOID = frozenset({"meta", "img", "br", "link", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.ids += [value for value in [found.get("id")] if value]
        self.links += [value for value in [found.get("href")] if value]
        self.images += [found] if tag == "img" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_outside(report: Path):
    text = (report / "report.html").read_text(encoding="utf-8")
    found = Page(text)

    assert found.open == []
    assert not found.tags & {"script", "iframe", "object", "link"}
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text
    assert all(str(image["src"]).startswith("data:image/svg+xml;base64,") for image in found.images)
    assert all(image["alt"] for image in found.images)


def test_every_entry_of_the_contents_leads_somewhere(report: Path):
    found = Page((report / "report.html").read_text(encoding="utf-8"))

    assert found.links
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_the_page_says_what_it_is_of(report: Path, study: Study):
    text = (report / "report.html").read_text(encoding="utf-8")

    assert "Research use. Not a diagnosis." in text
    assert "This study is made up" in text
    assert study.inputs.model is not None
    assert study.inputs.model.model_hash in text
    assert "prefers-color-scheme: dark" in text
    assert "size: A4" in text


def test_text_from_files_is_never_markup(study: Study):
    evil = "<script>alert(1)</script>"
    predictions = tuple(replace(one, device=evil) for one in study.inputs.predictions or ())
    changed = replace(study, inputs=replace(study.inputs, predictions=predictions))
    sheets = sheets_of(changed)

    text = page(
        Content(study=changed, sheets=sheets, compared=sheets[0], figures=(), statements=(evil,), missing=(evil,))
    )

    assert evil not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3


def test_the_command_names_what_is_not_available_and_ends_well(
    study_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "rtpcr.csv").write_bytes((study_folder / "rtpcr.csv").read_bytes())

    code = command(["evaluate", str(folder), "--out", str(tmp_path / "out"), "--bootstrap", "0"])

    told = capsys.readouterr().out
    assert code == 0
    assert "figures: 2 of 10" in told
    assert "- Table 1. Subjects (scans) by cohort, class and split: not available, needs manifest.csv." in told
    assert (tmp_path / "out" / "table_1.csv").read_text().splitlines() == ["not available", "needs manifest.csv"]
    assert (tmp_path / "out" / "fig_02.svg").exists()
    assert not (tmp_path / "out" / "fig_04.svg").exists()


@pytest.mark.parametrize("name", ["readers.csv", "manifest.csv"])
def test_invalid_input_ends_with_2_and_writes_nothing(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / name).write_text("no table of this kind\nx\n")

    code = command(["evaluate", str(tmp_path), "--out", str(tmp_path / "out")])

    assert code == 2
    assert "line 1: The column" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_wants_a_folder_and_one_of_its_own_for_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert command(["evaluate", "--out", str(tmp_path / "out")]) == 2
    assert command(["evaluate", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 2
    assert command(["evaluate", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "a folder of its own" in capsys.readouterr().err


def test_the_example_is_made_by_the_command(tmp_path: Path):
    code = command(["evaluate", "--make-example", str(tmp_path / "example"), "--no-maps", "--seed", "5"])

    assert code == 0
    assert {path.name for path in (tmp_path / "example").iterdir()} == {
        *("manifest.csv", "predictions.csv", "readers.csv", "rtpcr.csv", "points.csv"),
    }


def test_without_matplotlib_the_tables_are_still_there(
    study_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, FIGURES, None)

    made = make_report(study_folder, tmp_path, ReportWishes(figures=QUICK), TODAY)

    assert made.figures == 0
    assert made.tables == 12
    assert sum("install the extra `evaluate`" in sentence for sentence in made.missing) == 10


def test_a_missing_figure_says_so_on_the_page(report: Path):
    text = (report / "report.html").read_text(encoding="utf-8")

    assert "Figure 6. Class-activation maps of COVID-19 over slices: not available, needs" in text
