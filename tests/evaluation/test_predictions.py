"""predictions.csv: what is written is read again, and what breaks its rules is named with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aicorona_desktop.evaluation.predictions import (
    COLUMNS,
    Prediction,
    PredictionsError,
    read_predictions,
    write_predictions,
)

OK = Prediction(
    scan_id="s1",
    model_id="tiny-1",
    model_hash="ab",
    probabilities=(0.25, 0.25, 0.5),
    logits=(0.0, 0.0, 0.6931471805599453),
    n_slices=20,
    n_used=10,
    selection="middle(0.5)",
    ms_load=1.5,
    ms_net=2.25,
    ms_total=4.125,
    device="cpu",
    run_at="2026-01-01T00:00:00+00:00",
    status="ok",
)
FAILED = replace(OK, scan_id="s2", probabilities=None, logits=None, n_slices=None, n_used=None, status="failed")


def written(folder: Path, *predictions: Prediction) -> Path:
    write_predictions(folder / "predictions.csv", predictions)
    return folder / "predictions.csv"


def test_what_is_written_is_read_again_to_the_last_digit(tmp_path):
    thirds = replace(OK, scan_id="s3", probabilities=(1 / 3, 1 / 3, 1 / 3), logits=(0.1, 0.1, 0.1))

    assert read_predictions(written(tmp_path, OK, FAILED, thirds)) == (OK, FAILED, thirds)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"probabilities": (0.2, 0.2, 0.2)}, "must add up to 1"),
        ({"probabilities": (-0.5, 0.5, 1.0)}, "must add up to 1"),
        ({"probabilities": None}, "needs p_normal"),
        ({"logits": (3.0, 0.0, 0.0)}, "softmax of the logits"),
        ({"status": "failed"}, "can't have probabilities"),
        ({"scan_id": ""}, "scan_id must not be empty"),
        ({"ms_net": float("nan")}, "ms_net must be a number"),
        ({"n_used": -1}, "n_used must be a whole number"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_with_its_line(tmp_path, change, said):
    path = written(tmp_path, replace(OK, scan_id="s0"), replace(OK, **change))

    with pytest.raises(PredictionsError, match=rf"line 3: .*{said}"):
        read_predictions(path)


def test_a_scan_stands_once_for_each_model_and_rule(tmp_path):
    other_rule, other_model = replace(OK, selection="all"), replace(OK, model_hash="cd")
    assert len(read_predictions(written(tmp_path, OK, other_rule, other_model))) == 3

    with pytest.raises(PredictionsError, match=r"line 4: .*stand in line 2 already"):
        read_predictions(written(tmp_path, OK, other_rule, OK))


def test_missing_columns_and_text_that_is_no_utf_8_are_said(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(",".join(COLUMNS[:-1]) + "\n")
    with pytest.raises(PredictionsError, match="The column status is missing"):
        read_predictions(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PredictionsError, match="UTF-8"):
        read_predictions(path)
    with pytest.raises(PredictionsError, match="could not be read"):
        read_predictions(tmp_path / "nothing.csv")


def test_a_table_that_cannot_be_written_leaves_the_old_one_as_it_was(tmp_path):
    path = written(tmp_path, OK)
    before = path.read_bytes()

    def broken():
        yield FAILED
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_predictions(path, broken())

    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["predictions.csv"]
