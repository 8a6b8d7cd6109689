"""The card's words follow from the data, and the sheet of maps shows errors and right answers."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is in the train extra")
pytest.importorskip("onnx", reason="onnx is in the train extra")

from aicorona_desktop.evaluation.manifest import Cohort, LabelSource, ManifestRow, QcStatus, Split  # noqa: E402
from aicorona_desktop.training import card, shortcuts  # noqa: E402 - only where the extras are there
from aicorona_desktop.training.config import Config, Data, Start  # noqa: E402
from aicorona_desktop.training.evaluating import Evaluation  # noqa: E402
from aicorona_desktop.training.finishing import LastLayer, last_layer, operating_points  # noqa: E402
from aicorona_desktop.training.measuring import Answers  # noqa: E402
from aicorona_desktop.training.robustness import Robustness  # noqa: E402
from aicorona_desktop.training.store import Unit  # noqa: E402
from tests.training.made_up import record  # noqa: E402

NAN = float("nan")
EVALUATION = Evaluation(
    model="made-up 1",
    preparation="window-1",
    normalisation="grey",
    slice_rule="middle(0.5)",
    input_size=256,
    split="tune",
    manifest_sha256="0" * 64,
    units=3,
    scans=0,
    slices=3,
    subjects=3,
    pairs=None,
    strict=None,
    source=None,
    robustness=Robustness(0.011, 0.02, NAN, NAN),
    robustness_scans=2,
    pooled=None,
    temperature=None,
    temperature_level="single slices",
    whole_scans=(),
)


def facts(licences: dict[str, tuple[str, ...]], **changes: object) -> card.Facts:
    records = [record(0, "normal", source="one", scan=""), record(1, "covid", source="one", scan="", quality="weak")]
    values: dict[str, object] = {
        "config": Config(start=Start("grown"), data=Data(without=("left",))),
        "started_from": "",
        "sources": card.summaries(records),
        "train_subjects": 2,
        "licences": licences,
        "evaluation": EVALUATION,
        "agreement": card.Agreement(3, 0.999999, 3, 1e-5),
        "last_layer": "Left as trained.",
        "not_trained_on": (),
        "borders": {"one": 0.25},
        "legend": "",
    }
    return card.Facts(**(values | changes))  # type: ignore[arg-type]


def test_licences_that_restrict_derivatives_are_named_with_the_way_to_train_without_them() -> None:
    lines = card.licences(facts({"one": ("CC BY 4.0",), "two": ("CC BY-NC-ND 3.0",), "three": ("none stated",)}))

    assert lines[0].startswith("These weights: non-commercial research only.")
    assert "Licences that restrict derivatives: two." in lines
    assert "No licence stated for some or all of: three." in lines
    assert any("--without SOURCE" in line and "trained without: left" in line for line in lines)
    assert lines[-1].endswith("Apache-2.0.")


def test_data_that_may_be_shared_leave_the_weights_to_research_without_more() -> None:
    lines = card.licences(facts({"one": ("CC BY 4.0",)}))

    assert lines[0] == "These weights: research only."
    assert not any("restrict" in line for line in lines)


def test_a_card_says_how_little_it_was_trained_on_and_what_nobody_knows() -> None:
    found = facts({"one": ("CC BY 4.0",)})

    trained, notes = "\n".join(card.training_data(found)), "\n".join(card.notes(found))
    assert "grown into an EfficientNet-B3" in trained
    assert "2 slices of 2 subjects; none of them is part of a whole scan" in trained
    assert "2 slices of 2 subjects: 1 normal, 1 covid, 1 of them with weak labels" in trained
    assert "whole scans is unknown" in notes
    assert "The class cp was not in the training data" in notes
    assert "Most subjects of the class covid come from one source, one (1 of 1)" in notes


def test_measured_lines_carry_the_windows_and_leave_out_what_was_not_measured() -> None:
    lines = "\n".join(card.measured(facts({"one": ("CC BY 4.0",)}, not_trained_on=("two",))))

    assert "p changes by 0.011 on average over five Hounsfield windows" in lines
    assert "sources that it was not trained on: two" in lines
    assert "read as DICOM" not in lines
    assert "nan" not in lines


def test_licences_are_read_from_the_manifest_by_source() -> None:
    row = ManifestRow(
        scan_id="a",
        subject_id="b",
        cohort=Cohort.OTHER,
        split=Split.TRAIN,
        label_raw="covid",
        label3="covid",
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        source="one",
        licence="nan",
    )

    found = card.licences_of([row, replace(row, licence="CC BY 4.0")], ["one", "two"])

    assert found == {"one": ("CC BY 4.0", "none stated"), "two": ("none stated",)}


# --- maps --------------------------------------------------------------------------------------------------------


def shown(source: str, loss: float, *, right: bool) -> shortcuts.ShownMap:
    cam = np.zeros((8, 8), np.float32)
    cam[2, 5] = 1
    picture = np.linspace(0, 255, 64 * 64, dtype=np.float32).reshape(64, 64)
    return shortcuts.ShownMap(source, "covid", "covid" if right else "cp", 0.6, loss, 0.0, cam, picture)


def test_a_sheet_has_the_worst_errors_of_every_source_and_right_answers_by_seed() -> None:
    errors = [shown(source, loss, right=False) for source in ("a", "b") for loss in range(30)]
    right = [shown(source, 0.1, right=True) for source in ("a", "b", "c") for _ in range(30)]

    chosen = shortcuts.chosen_maps(errors + right)

    assert len(chosen) == 40
    assert [one.is_right for one in chosen] == [False] * 20 + [True] * 20
    assert [(one.source, one.loss) for one in chosen[:3]] == [("a", 29), ("b", 29), ("a", 28)]
    assert {one.source for one in chosen[20:]} == {"a", "b", "c"}
    assert [id(one) for one in shortcuts.chosen_maps(errors + right)] == [id(one) for one in chosen]
    assert len(shortcuts.chosen_maps([*errors[:3], *right])) == 40
    assert len(shortcuts.chosen_maps(errors)) == 40


def test_the_sheet_of_a_pack_is_small_and_shows_no_picture() -> None:
    maps = [shown("a", 1, right=False)] * 40

    small, own = shortcuts.sheet(maps, silhouettes=True), shortcuts.sheet(maps, silhouettes=False)

    assert small.startswith(b"\x89PNG")
    assert len(small) < shortcuts.LARGEST_SHEET_BYTES
    assert len(greys(small)) < 12 < len(greys(own))
    assert shortcuts.legend(maps).count("(wrong)") == 40


def greys(png: bytes) -> set[int]:
    """The greys of a PNG that our own writer made: rows stored as differences to the row above."""
    width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
    start = png.index(b"IDAT")
    length = int.from_bytes(png[start - 4 : start], "big")
    rows = np.frombuffer(zlib.decompress(png[start + 4 : start + 4 + length]), np.uint8).reshape(height, -1)
    pixels = np.cumsum(rows[:, 1:].astype(np.int64), 0).astype(np.uint8).reshape(height, width, 3)
    equal = (pixels[..., 0] == pixels[..., 1]) & (pixels[..., 1] == pixels[..., 2])
    return set(pixels[..., 0][equal].tolist())


def test_how_much_of_a_map_lies_at_the_border() -> None:
    inside, everywhere = np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)
    inside[3, 3] = 5

    assert shortcuts.border_share(inside) == 0
    assert shortcuts.border_share(everywhere) == pytest.approx(28 / 64)
    assert shortcuts.border_share(-everywhere) == 0


# --- what only scans can tell ------------------------------------------------------------------------------------


def answers(scans_of_each: int, *, scale: float = 4.0, shift: float = 0.0, scan: bool = True) -> Answers:
    generator = np.random.default_rng(3)
    labels = [name for name in ("normal", "cp", "covid") for _ in range(scans_of_each)]
    truth = np.repeat(np.arange(3), scans_of_each)
    logits = generator.normal(0, 1, (len(labels), 3)) + 1.5 * np.eye(3)[truth]
    logits = scale * logits + np.array([shift, 0, 0])
    units = tuple(
        Unit(f"person-{at}", "made-up", label, f"scan-{at}" if scan else "", (at,)) for at, label in enumerate(labels)
    )
    return Answers(units, logits.astype(np.float32), np.zeros((len(labels), 4), np.float32))


def test_temperature_and_bias_are_fitted_to_enough_scans() -> None:
    layer = last_layer(answers(60, scale=4.0, shift=3.0))

    assert layer.temperature == pytest.approx(4 / 1.5, rel=0.3)
    assert layer.bias_shift[0] < layer.bias_shift[1] - 1.5
    assert sum(layer.bias_shift) == pytest.approx(0, abs=1e-3)
    assert "180 scans" in layer.origin


def test_too_few_scans_leave_the_last_layer_as_trained_and_say_so() -> None:
    few, single = last_layer(answers(9)), last_layer(answers(60, scan=False))

    assert (few.temperature, few.bias_shift) == (1.0, (0.0, 0.0, 0.0)) == (single.temperature, single.bias_shift)
    assert "there are 9 normal, 9 cp, 9 covid" in few.origin
    assert "Single slices can't stand in for scans" in single.origin


def test_operating_points_come_from_scans_with_all_that_belongs_to_them() -> None:
    found = operating_points(answers(60), LastLayer())

    assert [point.method for point in found.usable] == ["A", "B", "C", "D", "E"]
    assert found.not_set == ""
    first = found.details[0]
    assert first["true_negatives"] >= 114  # type: ignore[operator] # 95 % of 120
    assert len(str(first["tuning_sha256"])) == 64


def test_no_scans_or_too_few_leave_the_operating_point_unset_with_the_reason() -> None:
    assert operating_points(answers(60, scan=False), LastLayer()).not_set.startswith("Not set: the tuning split has no")
    few = operating_points(answers(3), LastLayer())
    assert few.usable == ()
    assert few.not_set.startswith("Not set. ")
    assert few.details[0]["why_not"]


def test_the_last_layer_shifts_then_divides() -> None:
    layer = LastLayer(2.0, (1.0, 0.0, -1.0), "by hand")

    assert layer.probabilities(np.array([[0.0, 1.0, 2.0]]))[0] == pytest.approx([1 / 3] * 3)
