"""`predict`: the scans of a manifest in every layout, scored once, like triage does it, whatever happens on the way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.cli.main import run as command
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation import predicting
from aicorona_desktop.evaluation.layouts import content_sha256
from aicorona_desktop.evaluation.manifest import (
    Layout,
    ManifestRow,
    QcStatus,
    Split,
    read_manifest,
    write_manifest,
)
from aicorona_desktop.evaluation.predicting import PredictingRun, ScanScoring, Summary, predict
from aicorona_desktop.evaluation.predictions import read_predictions
from aicorona_desktop.evaluation.run_folder import Journal, RunFolderError
from aicorona_desktop.evaluation.slice_rules import RULES
from aicorona_desktop.imaging.png import png_bytes
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack, default_pack
from aicorona_desktop.model.providers import worker_count
from aicorona_desktop.model.selection import selected
from tests import phantom
from tests.evaluation.manifests import row
from tests.model.tiny_pack import tiny_pack

SLICES = 16  # as few as the gate takes


def small(name: str) -> phantom.Chest:
    return phantom.chest(name).with_slices(SLICES).with_matrix(128)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small scans in every layout, and a manifest of them."""
    root = tmp_path_factory.mktemp("data")
    sick = small("sick").with_ground_glass(0.6)
    sick.written_to(root / "dicom" / "sick")
    small("well").with_seed(3).written_to(root / "dicom" / "well")
    for place, index in enumerate(sick.slices):
        folder = root / "pictures"
        folder.mkdir(exist_ok=True)
        grey = np.clip((sick.hounsfield(index) + 1350) / 1500 * 255, 0, 255).astype(np.uint8)
        (folder / f"slice{place + 1}.png").write_bytes(png_bytes(grey))
    shutil.copy(root / "pictures" / "slice7.png", root / "one.png")
    rows = [
        row("sick", label="covid", path="dicom/sick", layout=Layout.DICOM, n_slices=SLICES),
        row("well", label="normal", path="dicom/well", layout=Layout.DICOM, n_slices=SLICES),
        row("pictures", label="cp", path="pictures", layout=Layout.PICTURES, n_slices=SLICES),
        row("one", label="covid", path="one.png", layout=Layout.PICTURE, n_slices=1, split=Split.TUNE),
        row("gone", label="covid", path="nothing/here", layout=Layout.PICTURES),
        row("out", label="covid", path="dicom/sick", split=Split.EXCLUDED, qc_status=QcStatus.HRCT),
    ]
    write_manifest(root / "manifest.csv", rows)
    return root


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return tiny_pack(tmp_path_factory.mktemp("toy") / "pack")


@pytest.fixture(scope="module")
def processes(toy: Pack) -> Iterator[tuple[Reader, Scorer]]:
    """One reader and one scorer of the toy for all tests that need no own ones."""
    with Reader() as reader, Scorer(toy, "cpu") as scorer:
        yield reader, scorer


@pytest.fixture(scope="module")
def shipped() -> Iterator[tuple[Reader, Scorer]]:
    """The same of the pack that ships."""
    with Reader() as reader, Scorer(default_pack(), "cpu") as scorer:
        yield reader, scorer


@pytest.fixture
def run(data: Path, toy: Pack) -> PredictingRun:
    """All of it with a toy network."""
    return PredictingRun(manifest=read_manifest(data / "manifest.csv"), root=data, pack=toy, provider="cpu")


@pytest.fixture
def score(processes) -> Callable[..., Summary]:
    return partial(predict, processes=processes)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# --- what is written ---------------------------------------------------------------------------------------------


def test_every_scan_of_the_manifest_but_excluded_ones_has_one_row_scored_or_failed(run, tmp_path, score):
    summary = score(run, tmp_path / "out")

    predictions = read_predictions(tmp_path / "out" / "predictions.csv")
    assert [(one.scan_id, one.status) for one in predictions] == [
        ("sick", "ok"), ("well", "ok"), ("pictures", "ok"), ("one", "ok"), ("gone", "failed"),
    ]  # fmt: skip
    sick = predictions[0]
    assert (sick.n_slices, sick.n_used, sick.selection, sick.device) == (SLICES, SLICES // 2, "middle(0.5)", "cpu")
    assert (sick.model_id, sick.model_hash) == ("tiny-1", run.pack.sha256)
    for one in predictions[:4]:  # preparation and network were each timed in the scorer's threads
        assert min(one.ms_load, one.ms_pre, one.ms_net) > 0
        assert one.ms_pre + one.ms_net <= worker_count("cpu") * one.ms_total
    (gone,) = table(tmp_path / "out" / "failures.csv")
    assert gone["scan_id"] == "gone"
    assert "no such file or folder" in gone["sentence"]
    assert (summary.scans, summary.ok, summary.failed, summary.whole) == (5, 4, 1, True)
    facts = json.loads((tmp_path / "out" / "run.json").read_text())
    assert facts["pack_sha256"] == run.pack.sha256
    assert (facts["preparation"], facts["slice_rule"], facts["provider"]) == ("window-1", "middle(0.5)", "cpu")


def test_the_score_of_a_dicom_folder_is_that_of_triage_to_the_last_bit(data, tmp_path, capsys, shipped):
    pack = default_pack()
    manifest = read_manifest(data / "manifest.csv")
    only = replace(manifest, rows=manifest.rows[:1])
    predict(PredictingRun(manifest=only, root=data, pack=pack, provider="cpu"), tmp_path / "out", processes=shipped)
    assert (
        command(["triage", str(data / "dicom" / "sick"), "--provider", "cpu", "--json", str(tmp_path / "t.json")]) == 0
    )

    (prediction,) = read_predictions(tmp_path / "out" / "predictions.csv")
    (study,) = json.loads((tmp_path / "t.json").read_text())

    assert prediction.probabilities == (study["p_normal"], study["p_cp"], study["p_covid"])
    assert prediction.logits == tuple(one / pack.temperature for one in study["logits"])
    assert prediction.n_used == study["slices_used"]


def test_the_score_of_a_real_series_is_that_of_triage_to_the_last_bit(shared, tmp_path, shipped):
    rows = [row("real", path="dicom/chest_normal_siemens_2mm_half", label="normal", layout=Layout.DICOM)]
    manifest = write_manifest(tmp_path / "manifest.csv", rows)
    run = PredictingRun(manifest=manifest, root=shared / "data", pack=default_pack(), provider="cpu")
    predict(run, tmp_path / "out", processes=shipped)
    folder = shared / "data" / rows[0].path
    assert command(["triage", str(folder), "--provider", "cpu", "--json", str(tmp_path / "t.json")]) == 0

    (prediction,) = read_predictions(tmp_path / "out" / "predictions.csv")
    study = next(one for one in json.loads((tmp_path / "t.json").read_text()) if one["study_uid"])

    assert prediction.probabilities == (study["p_normal"], study["p_cp"], study["p_covid"])


def test_a_folder_of_pictures_has_the_score_that_score_images_gives_it(run, data, tmp_path, shipped):
    (tmp_path / "list.csv").write_text(f"file\n{data / 'pictures'}\n{data / 'one.png'}\n")
    manifest = replace(run.manifest, rows=run.manifest.rows[2:4])
    of_shipped = PredictingRun(manifest=manifest, root=data, pack=default_pack(), provider="cpu")
    predict(of_shipped, tmp_path / "shipped", processes=shipped)
    json_file = tmp_path / "i.json"
    assert command(["score-images", str(tmp_path / "list.csv"), "--provider", "cpu", "--json", str(json_file)]) == 0

    predictions = read_predictions(tmp_path / "shipped" / "predictions.csv")
    scan, single = json.loads(json_file.read_text())

    assert [one.probabilities for one in predictions] == [
        (one["p_normal"], one["p_cp"], one["p_covid"]) for one in (scan, single)
    ]
    assert [one.n_used for one in predictions] == [SLICES // 2, 1]


def test_a_nifti_volume_has_the_score_of_the_dicom_series_with_the_same_values(run, data, tmp_path, score):
    nibabel = pytest.importorskip("nibabel")
    sick = small("sick").with_ground_glass(0.6)
    volume = np.stack([sick.hounsfield(index) for index in sick.slices]).transpose(2, 1, 0)
    (tmp_path / "set").mkdir()
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-2.5, -2.5, 10.0, 1.0])), tmp_path / "set" / "study.nii.gz")
    shutil.copytree(data / "dicom" / "sick", tmp_path / "set" / "dicom")
    rows = [row("nifti", path="study.nii.gz", layout=Layout.NIFTI), row("dicom", path="dicom", layout=Layout.DICOM)]
    manifest = write_manifest(tmp_path / "set" / "manifest.csv", rows)

    score(replace(run, manifest=manifest, root=tmp_path / "set"), tmp_path / "out")

    nifti, dicom = read_predictions(tmp_path / "out" / "predictions.csv")
    assert nifti.status == dicom.status == "ok"
    assert nifti.probabilities == dicom.probabilities


def test_what_the_gate_refuses_fails_with_its_sentence_unless_it_is_scored_anyway(run, tmp_path, score):
    phantom.chest("short").with_slices(11).written_to(tmp_path / "short")
    manifest = write_manifest(tmp_path / "manifest.csv", [row("short", path="short", n_slices=11)])
    strict = replace(run, manifest=manifest, root=tmp_path)

    score(strict, tmp_path / "strict")
    score(replace(strict, anyway=True), tmp_path / "anyway")

    (failure,) = table(tmp_path / "strict" / "failures.csv")
    assert failure["reason"] == "TOO_FEW_SLICES" or "slices" in failure["sentence"]
    (scored,) = read_predictions(tmp_path / "anyway" / "predictions.csv")
    assert (scored.status, scored.n_slices) == ("ok", 11)
    assert "SCORED_ANYWAY" in str([one.warnings for one in Journal(tmp_path / "anyway" / "scans.jsonl")]).upper()


def test_files_that_are_not_those_of_the_manifest_are_not_scored(run, data, tmp_path, score):
    right = content_sha256(data / "pictures", Layout.PICTURES)
    rows = [
        row("right", path="pictures", layout=Layout.PICTURES, sha256=right),
        row("wrong", path="pictures", layout=Layout.PICTURES, sha256="0" * 64),
    ]
    manifest = write_manifest(tmp_path / "manifest.csv", rows)

    score(replace(run, manifest=manifest), tmp_path / "out")

    assert [one.status for one in read_predictions(tmp_path / "out" / "predictions.csv")] == ["ok", "failed"]
    assert "sha256" in table(tmp_path / "out" / "failures.csv")[0]["sentence"]


# --- slice rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["middle(0.25)", "top_half", "bottom_half", "all"])
def test_a_rule_pooled_from_one_pass_is_the_run_with_that_rule_to_the_last_bit(run, tmp_path, rule, score):
    run = replace(run, manifest=replace(run.manifest, rows=run.manifest.rows[:3]))
    score(replace(run, all_rules=True), tmp_path / "all")
    score(replace(run, slice_rule=rule), tmp_path / "one")

    pooled = [one for one in read_predictions(tmp_path / "all" / "predictions_by_rule.csv") if one.selection == rule]
    alone = read_predictions(tmp_path / "one" / "predictions.csv")

    assert [one.logits for one in pooled] == [one.logits for one in alone]
    assert [one.n_used for one in pooled] == [len(selected(SLICES, rule))] * 3


def test_slice_rules_are_compared_with_intervals_by_subject(run, tmp_path, score):
    score(replace(run, all_rules=True), tmp_path / "out")

    rows = table(tmp_path / "out" / "slice_rules.csv")

    assert [one["rule"] for one in rows] == list(RULES)
    own = rows[0]
    assert (own["positives"], own["negatives"], own["scans"]) == ("2", "2", "4")
    assert float(own["difference"]) == 0
    assert 0 <= float(own["auc_low"]) <= float(own["auc"]) <= float(own["auc_high"]) <= 1


# --- once, whatever happens --------------------------------------------------------------------------------------


def test_a_second_run_scores_nothing_again(run, tmp_path, monkeypatch, score):
    score(run, tmp_path / "out")
    before = (tmp_path / "out" / "predictions.csv").read_bytes()
    monkeypatch.setattr(ScanScoring, "record", lambda *_: pytest.fail("scored twice"))

    score(run, tmp_path / "out")

    assert (tmp_path / "out" / "predictions.csv").read_bytes() == before


def test_a_stopped_run_keeps_what_it_scored_and_its_successor_does_the_rest_once(run, tmp_path, monkeypatch, score):
    scored: list[str] = []
    real = ScanScoring.record

    def record(self: ScanScoring, scan: ManifestRow):
        if len(scored) == 2:
            scored.append("interrupted")
            raise KeyboardInterrupt
        scored.append(scan.scan_id)
        return real(self, scan)

    monkeypatch.setattr(ScanScoring, "record", record)
    with pytest.raises(KeyboardInterrupt):
        score(run, tmp_path / "out")
    half = [one.scan_id for one in read_predictions(tmp_path / "out" / "predictions.csv")]
    score(run, tmp_path / "out")
    score(run, tmp_path / "whole")

    assert half == ["sick", "well"]
    assert scored[:6] == ["sick", "well", "interrupted", "pictures", "one", "gone"]
    resumed, whole = (read_predictions(tmp_path / name / "predictions.csv") for name in ("out", "whole"))
    assert [one.logits for one in resumed] == [one.logits for one in whole]


def test_a_line_torn_by_a_power_cut_is_dropped_and_its_scan_scored_anew(run, tmp_path, score):
    score(run, tmp_path / "out")
    whole = (tmp_path / "out" / "predictions.csv").read_bytes()
    journal = tmp_path / "out" / "scans.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:3]) + lines[3][:40])

    score(run, tmp_path / "out")

    assert [one.name for one in Journal(journal)] == ["sick", "well", "pictures", "one", "gone"]
    columns = ("scan_id", "p_covid", "status")
    (tmp_path / "before.csv").write_bytes(whole)
    before, after = table(tmp_path / "before.csv"), table(tmp_path / "out" / "predictions.csv")
    assert [[one[name] for name in columns] for one in after] == [[one[name] for name in columns] for one in before]


@pytest.mark.parametrize("change", ["pack", "rule", "manifest", "slices", "version"])
def test_a_folder_takes_no_results_of_another_run_and_says_what_differs(run, tmp_path, change, monkeypatch, score):
    score(run, tmp_path / "out")
    before = (tmp_path / "out" / "scans.jsonl").read_bytes()
    others = {
        "pack": replace(run, pack=tiny_pack(tmp_path / "other", temper="failing")),
        "rule": replace(run, slice_rule="top_half"),
        "slices": replace(run, all_rules=True),
        "manifest": replace(run, manifest=replace(run.manifest, sha256="another")),
        "version": run,
    }
    if change == "version":
        monkeypatch.setattr(predicting, "__version__", "99")
    named = {
        "pack": "pack_sha256", "rule": "slice_rule", "slices": "all_rules", "manifest": "manifest_sha256",
        "version": "application_version",
    }  # fmt: skip

    with pytest.raises(RunFolderError, match=rf"another run: {named[change]} differ"):
        score(others[change], tmp_path / "out")

    assert (tmp_path / "out" / "scans.jsonl").read_bytes() == before


def test_two_runs_do_not_write_into_one_folder(run, tmp_path, monkeypatch, score):
    def record(self: ScanScoring, scan: ManifestRow):
        with pytest.raises(RunFolderError, match="Another run"):
            score(run, tmp_path / "out")
        raise KeyboardInterrupt

    monkeypatch.setattr(ScanScoring, "record", record)
    with pytest.raises(KeyboardInterrupt):
        score(run, tmp_path / "out")


def test_a_folder_with_other_tables_is_left_alone(run, tmp_path, score):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine")

    with pytest.raises(RunFolderError, match="other results"):
        score(run, tmp_path / "out")

    assert (tmp_path / "out" / "predictions.csv").read_text() == "mine"


@pytest.mark.skipif(os.name == "nt", reason="kills a process group")
def test_a_killed_run_goes_on_where_it_was(data, tmp_path):
    rows = [
        row(f"s{number}", path="pictures", layout=Layout.PICTURES, label="covid" if number % 2 else "normal")
        for number in range(6)
    ]
    write_manifest(data / "many.csv", rows)
    arguments = [sys.executable, "-m", "aicorona_desktop", "predict", str(data / "many.csv")]
    arguments += ["--out", str(tmp_path / "out"), "--provider", "cpu"]
    journal = tmp_path / "out" / "scans.jsonl"
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while (not journal.exists() or journal.read_bytes().count(b"\n") < 2) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    before = journal.read_bytes()
    kept = before[: before.rfind(b"\n") + 1]

    assert subprocess.run(arguments, check=False, capture_output=True).returncode == 0

    assert 2 <= kept.count(b"\n") < 6
    assert journal.read_bytes().startswith(kept)
    assert [one.scan_id for one in read_predictions(tmp_path / "out" / "predictions.csv")] == [
        f"s{number}" for number in range(6)
    ]


# --- the command -------------------------------------------------------------------------------------------------


def test_the_command_scores_a_split_and_says_how_long_a_scan_took(data, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["predict", str(data / "manifest.csv"), "--out", str(out), "--splits", "tune", "--device", "cpu"]

    assert command(arguments) == 0

    assert [one.scan_id for one in read_predictions(out / "predictions.csv")] == ["one"]
    said = capsys.readouterr().out
    assert "scored: 1" in said
    assert "2.02" in said
    assert "not a diagnosis" in said.lower()


def test_a_manifest_that_breaks_rules_or_an_unknown_rule_is_wrong_use(data, tmp_path, capsys):
    rows = read_manifest(data / "manifest.csv").rows
    text = (data / "manifest.csv").read_text().replace(f"{rows[1].scan_id},", f"{rows[0].scan_id},", 1)
    (tmp_path / "bad.csv").write_text(text)

    assert command(["predict", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]) == 2
    with pytest.raises(SystemExit):
        command(["predict", str(data / "manifest.csv"), "--out", str(tmp_path / "out"), "--slice-rule", "best"])

    assert not (tmp_path / "out").exists()
    assert "scan_id stands in line" in capsys.readouterr().err
