"""`metrics`: the figures of four counts, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aicorona_desktop.cli.main import run

FIGURES = ("sensitivity", "specificity", "f1", "hm_se_sp", "kappa", "accuracy")


def test_json_has_each_figure_with_its_interval_and_method(capsys: pytest.CaptureFixture[str]):
    assert run(["metrics", "--counts", "139", "4", "8", "244", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)

    assert all(set(found[name]) == {"value", "low", "high", "method"} for name in FIGURES)
    assert [round(found[name]["value"], 6) for name in FIGURES] == [
        0.972028,
        0.968254,
        0.958621,
        0.970137,
        0.934628,
        0.96962,
    ]
    assert [round(found["sensitivity"][end], 6) for end in ("low", "high")] == [0.934873, 0.990486]
    assert [round(found["kappa"][end], 6) for end in ("low", "high")] == [0.887829, 0.962011]
    assert found["counts"] == {"tp": 139, "fn": 4, "fp": 8, "tn": 244}


def test_the_method_the_level_and_the_prevalence_are_those_that_were_asked_for(tmp_path: Path):
    out = tmp_path / "figures.json"
    arguments = ["metrics", "--counts", "110", "9", "4", "234", "--json", str(out)]

    assert run([*arguments, "--interval", "clopper-pearson", "--level", "0.95", "--prevalence", "0.05"]) == 0

    found = json.loads(out.read_text())
    assert found["sensitivity"]["method"] == "clopper-pearson"
    assert [round(found["sensitivity"][end], 6) for end in ("low", "high")] == [0.861283, 0.964835]
    assert round(found["ppv"]["value"], 6) == 0.743243


def test_the_table_says_what_is_undefined(capsys: pytest.CaptureFixture[str]):
    assert run(["metrics", "--counts", "5", "1", "0", "0"]) == 0

    table = capsys.readouterr().out
    (specificity,) = (line for line in table.splitlines() if "Specificity" in line)
    assert specificity.count(" - ") == 3
    assert "0.833333" in table
    assert "Not a" in table


def test_undefined_figures_are_null_in_json(capsys: pytest.CaptureFixture[str]):
    assert run(["metrics", "--counts", "0", "0", "0", "0", "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    assert all(found[name][part] is None for name in FIGURES for part in ("value", "low", "high"))


@pytest.mark.parametrize(
    "wrong",
    [["1", "2", "3"], ["1", "2", "3", "-4"], ["1", "2", "3", "4.5"], ["1", "2", "3", "4", "--level", "95"]],
)
def test_wrong_use_is_said_in_one_line(wrong, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stopped:
        run(["metrics", "--counts", *wrong])

    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
