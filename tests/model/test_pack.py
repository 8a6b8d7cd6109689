"""Model packs: the shipped one is sound, and whatever is changed in one is noticed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from aicorona_desktop.model.novelty import training_distance
from aicorona_desktop.model.pack import PackError, Tolerance, default_pack, find_packs, load_pack
from aicorona_desktop.model.preprocess import prepare

SHIPPED = default_pack().folder


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "packs" / SHIPPED.name))


def rewritten(folder: Path, change: Callable[[dict], object]) -> Path:
    path = folder / "model.json"
    description = json.loads(path.read_text("utf-8"))
    change(description)
    path.write_text(json.dumps(description), "utf-8")
    return folder


def test_the_shipped_pack_is_sound_and_says_plainly_what_it_is():
    pack = load_pack(SHIPPED)

    assert pack.title.replace(" ", "-") == SHIPPED.name
    assert pack.status_text == "research weights: not validated, not a diagnosis"
    assert pack.classes == ("normal", "cp", "covid")
    assert (pack.preparation, pack.input_size, pack.slice_rule) == ("window-1", 256, "middle(0.5)")
    assert pack.operating_point is None
    assert pack.temperature == 1
    assert pack.sha256 == hashlib.sha256((SHIPPED / "model.json").read_bytes()).hexdigest()
    assert pack.status_text.capitalize() in pack.card()
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 25e6


def test_the_runtime_gives_the_known_answer_for_the_known_slice():
    pack = load_pack(SHIPPED)
    session = onnxruntime.InferenceSession(pack.model_bytes(), providers=["CPUExecutionProvider"])

    picture = prepare(pack.known_slice, pack.preparation, pack.input_size)
    cam, features = session.run(["cam", "features"], {"slices": picture[None]})

    known, limit = pack.known_answer, pack.tolerance("cpu")
    cosine = features[0] @ known.features / np.linalg.norm(features[0]) / np.linalg.norm(known.features)
    assert cosine > limit.features_cosine
    assert np.abs(cam[0].mean((1, 2)) - known.contribution).max() < limit.logit_difference
    assert np.allclose(cam[0], known.cam, atol=1e-3)


def test_a_provider_that_the_pack_does_not_name_gets_the_default_tolerance():
    pack = load_pack(SHIPPED)

    assert pack.tolerance("openvino") == pack.tolerances["default"]
    assert pack.tolerance("cpu") == pack.tolerances["cpu"]


def test_directml_is_found_under_the_name_that_packs_have_for_it(copied: Path):
    strict = {"features_cosine": 0.999999, "logit_difference": 1e-6}
    rewritten(copied, lambda description: description["tolerances"].update(directml=strict))

    assert load_pack(copied).tolerance("dml") == Tolerance(0.999999, 1e-6)


def test_feature_statistics_are_main_directions_at_right_angles():
    statistics = load_pack(SHIPPED).statistics

    assert statistics is not None
    assert statistics.unit_length
    assert np.allclose(statistics.components @ statistics.components.T, np.eye(len(statistics.variances)), atol=1e-5)
    assert np.linalg.norm(statistics.mean) < 1
    assert not statistics.mean.flags.writeable


def test_the_known_chest_lies_within_the_limit_of_the_training_data_and_noise_beyond_it():
    pack = load_pack(SHIPPED)
    noise = np.random.default_rng(1).normal(size=1536).astype(np.float32)

    assert pack.statistics is not None
    assert training_distance(pack.statistics, [pack.known_answer.features]) < pack.statistics.limit
    assert training_distance(pack.statistics, [noise]) > pack.statistics.limit


@pytest.mark.parametrize("name", ["model.onnx", "card.md", "statistics.f32"])
def test_one_changed_byte_in_any_file_is_noticed(copied: Path, name: str):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)

    with pytest.raises(PackError, match=f"{name} was changed or damaged"):
        load_pack(copied)


@pytest.mark.parametrize("name", ["model.onnx", "card.md", "statistics.f32", "model.json"])
def test_a_missing_file_is_noticed(copied: Path, name: str):
    (copied / name).unlink()

    with pytest.raises(PackError, match=f"{name} is missing"):
        load_pack(copied)


def test_a_link_in_place_of_a_file_is_refused(copied: Path):
    (copied / "card.md").unlink()
    try:
        (copied / "card.md").symlink_to(SHIPPED / "card.md")
    except OSError:
        pytest.skip("this system lets ordinary users make no links")

    with pytest.raises(PackError, match="not a regular file"):
        load_pack(copied)


def test_weights_that_change_after_the_check_never_reach_the_runtime(copied: Path):
    pack = load_pack(copied)
    with (copied / "model.onnx").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")

    with pytest.raises(PackError, match="changed or damaged"):
        pack.model_bytes()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("schema", 2, "newer version of the program"),
        ("schema", True, "lacks schema"),
        ("preparation", "window-2", "preparation .window-2. is not known"),
        ("architecture", "efficientnet-b5", "architecture"),
        ("status", "validated", "status"),
        ("classes", ["covid", "cp", "normal"], "classes are not normal, cp, covid"),
        ("feature_length", 1280, "features are not 1536"),
        ("input_range", [0, 1], "not grey from 0 to 255"),
        ("bias", [0.0, float("inf"), 0.0], "damaged"),
        ("bias", [0.0, 10**400, 0.0], "bias is not finite"),
        ("bias", [0.0, 0.0], "bias is not 3 numbers"),
        ("bias", [0.0, 0.0, "0"], "bias is not a number"),
        ("temperature", 0, "temperature is not positive"),
        ("temperature", "1", "lacks temperature"),
        ("operating_points", [{"threshold": 1.0, "method": "A", "origin": "tune"}], "not between 0 and 1"),
        ("operating_points", [0.5], "not a list of objects"),
        ("slice_rule", "middle(2)", "slice rule"),
        ("input_size", 100_000, "input_size is 100000"),
        ("name", "../elsewhere", "name"),
        ("version", "1-beta", "version"),
        ("made", "yesterday", "date"),
        ("tolerances", {"cpu": {"features_cosine": 0.9, "logit_difference": 1}}, "tolerances"),
        ("licences", "free", "lacks licences"),
        ("notes", [1], "not a list of texts"),
        ("known_answer", {}, "lacks"),
        ("feature_statistics", {"variances": [1.0], "unit_length": True}, "another size"),
    ],
)
def test_a_description_the_program_can_not_follow_is_refused(copied: Path, key: str, value: object, sentence: str):
    rewritten(copied, lambda description: description.update({key: value}))

    with pytest.raises(PackError, match=sentence):
        load_pack(copied)


def test_a_missing_key_is_named(copied: Path):
    rewritten(copied, lambda description: description.pop("bias"))

    with pytest.raises(PackError, match="lacks bias"):
        load_pack(copied)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{",
        b'{"schema": 1, "schema": 1}',
        b'{"schema": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b" " * 2_000_000,
    ],
)
def test_a_description_that_is_not_one_json_object_is_refused(copied: Path, content: bytes):
    (copied / "model.json").write_bytes(content)

    with pytest.raises(PackError, match=r"model\.json is (damaged|too large)"):
        load_pack(copied)


def test_a_known_slice_that_expands_without_end_is_refused(copied: Path):
    bomb = base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()
    rewritten(copied, lambda description: description["known_slice"].update(int16_zlib_base64=bomb))

    with pytest.raises(PackError, match="another size"):
        load_pack(copied)


def test_an_answer_that_is_no_number_proves_nothing_and_is_refused(copied: Path):
    nothing = base64.b64encode(zlib.compress(np.full(1536, np.nan, "<f4").tobytes())).decode()
    rewritten(copied, lambda description: description["known_answer"].update(features_float32_zlib_base64=nothing))

    with pytest.raises(PackError, match="known answer is not finite"):
        load_pack(copied)


@pytest.mark.parametrize("at", [0, -1])
def test_statistics_that_are_no_numbers_are_refused(copied: Path, at: int):
    rows = np.fromfile(copied / "statistics.f32", "<f4")
    rows[at] = np.inf
    rows.tofile(copied / "statistics.f32")
    digest = hashlib.sha256(rows.tobytes()).hexdigest()
    rewritten(copied, lambda description: description["sha256"].update({"statistics.f32": digest}))

    with pytest.raises(PackError, match="not finite or not positive"):
        load_pack(copied)


def test_a_pack_without_statistics_says_nothing_of_distance(copied: Path):
    rewritten(copied, lambda description: description.update(feature_statistics=None))

    assert load_pack(copied).statistics is None


def test_the_first_operating_point_is_the_one_in_force(copied: Path):
    points = [{"threshold": 0.7, "method": "A", "origin": "tune"}, {"threshold": 0.3, "method": "B", "origin": "tune"}]
    rewritten(copied, lambda description: description.update(operating_points=points))

    point = load_pack(copied).operating_point

    assert point is not None
    assert (point.threshold, point.method) == (0.7, "A")


def test_a_model_that_its_hash_vouches_for_is_still_checked_inside(copied: Path):
    content = (copied / "model.onnx").read_bytes().replace(b"GlobalAveragePool", b"GlobalMaximumPool")
    (copied / "model.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    rewritten(copied, lambda description: description["sha256"].update({"model.onnx": digest}))

    with pytest.raises(PackError, match="operator that is not allowed"):
        load_pack(copied)


def test_the_newest_research_pack_is_the_default(copied: Path):
    folder = copied.parent

    def add(name: str, version: str, made: str, status: str = "research") -> None:
        other = shutil.copytree(SHIPPED, folder / f"{name}-{version}", dirs_exist_ok=True)
        changes = {"name": name, "version": version, "made": made, "status": status}
        rewritten(Path(other), lambda description: description.update(changes))

    add("a", "9", "2026-12-01")
    add("a", "10", "2026-12-01")
    add("b", "2", "2026-11-30")
    add("c", "1", "2027-01-01", "untrained")

    assert [pack.name for pack in find_packs(folder)] == ["a-10", "a-9", "b-2", "c-1", SHIPPED.name]
    assert default_pack(folder).title == "a 10"
    assert default_pack(folder).made == date(2026, 12, 1)


def test_a_damaged_pack_stops_the_choice_instead_of_another_standing_in(copied: Path):
    other = Path(shutil.copytree(SHIPPED, copied.parent / "other-1"))
    (other / "card.md").write_text("changed")

    with pytest.raises(PackError, match=r"card\.md was changed"):
        default_pack(copied.parent)


def test_without_a_pack_the_program_says_so(tmp_path: Path):
    assert find_packs(tmp_path / "nowhere") == ()
    with pytest.raises(PackError, match="no model pack"):
        default_pack(tmp_path)


def test_the_program_brings_a_default_pack():
    assert default_pack().status == "research"
