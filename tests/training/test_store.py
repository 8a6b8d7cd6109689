"""Prepared pixels: what the file held, what the product makes of it, and clear words where something is wrong."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.evaluation.manifest import (
    Cohort,
    LabelQuality,
    LabelSource,
    Layout,
    Manifest,
    ManifestRow,
    QcStatus,
    Split,
)
from aicorona_desktop.imaging.png import png_bytes
from aicorona_desktop.model import preprocess
from aicorona_desktop.training import store as stores
from aicorona_desktop.training.config import Sampling
from aicorona_desktop.training.sampling import Sampler
from aicorona_desktop.training.store import Store, StoreError, prepare, write_store
from tests.training.made_up import hounsfield, record, slices_of_scans, store_of, striped


def manifest_row(path: str, **changes: Any) -> ManifestRow:
    row = ManifestRow(
        scan_id=path.split(".")[0].replace("/", "-"),
        subject_id=f"subject-of-{path}",
        cohort=Cohort.OTHER,
        split=Split.TRAIN,
        label_raw="covid",
        label3="covid",
        n_slices=1,
        label_source=LabelSource.PUBLIC,
        qc_status=QcStatus.OK,
        path=path,
        layout=Layout.PICTURE,
    )
    return replace(row, **changes)


def picture_file(folder: Path, name: str, pixels: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png_bytes(pixels))


def test_a_manifest_becomes_slices_that_the_product_prepares_as_ever(tmp_path: Path) -> None:
    single, scan = striped("covid", 1, 60), [striped("cp", seed, 40)[:32] for seed in range(4)]
    picture_file(tmp_path, "one.png", single)
    for number, pixels in enumerate(scan):
        picture_file(tmp_path, f"scan/{number}.png", pixels)
    rows = (
        manifest_row("one.png"),
        manifest_row("scan", label_raw="cp", label3="cp", n_slices=4, layout=Layout.PICTURES),
        manifest_row("one.png", split=Split.TEST),
    )

    count = prepare(Manifest(rows, "f" * 64), tmp_path, tmp_path / "store")
    store = Store(tmp_path / "store")

    assert count == len(store.records) == 5  # the test split is not read
    assert store.manifest_sha256 == "f" * 64
    assert np.array_equal(store.pixels(0), single)
    assert np.array_equal(store.prepared(2, "window-1", 32), preprocess.prepare_picture(scan[1], "window-1", 32))
    assert [unit.slices for unit in store.units("train", "middle(0.5)")] == [(0,), (2, 3)]
    assert [unit.scan for unit in store.units("train", "all")] == ["", "scan"]


def test_hounsfield_slices_are_prepared_as_the_product_does(tmp_path: Path) -> None:
    pixels = hounsfield()
    pixels[:5] = PADDING_HU
    store = store_of(tmp_path, iter([(record(0, "covid", kind="hounsfield"), pixels)]))  # type: ignore[list-item]

    for preparation in ("paper-1", "window-1"):
        assert np.array_equal(store.prepared(0, preparation, 64), preprocess.prepare(pixels, preparation, 64))


def test_shrinking_keeps_padding_apart(tmp_path: Path) -> None:
    pixels = np.full((64, 64), -700, np.int16)
    pixels[:32] = PADDING_HU

    write_store(tmp_path, [(record(0, "covid", kind="hounsfield"), pixels)], "", storage_px=16)

    assert set(np.unique(Store(tmp_path).pixels(0))) == {PADDING_HU, -700}


def test_rows_known_only_as_not_covid_keep_that(tmp_path: Path) -> None:
    picture_file(tmp_path, "one.png", striped("normal", 1))
    row = manifest_row("one.png", label_raw="normal", label3="", label_quality=LabelQuality.AMBIGUOUS)

    prepare(Manifest((row,), ""), tmp_path, tmp_path / "store")

    assert Store(tmp_path / "store").records[0].label == "not_covid"


def test_leaving_out_a_source_leaves_none_of_it(tmp_path: Path) -> None:
    store_of(tmp_path, slices_of_scans(("normal", "cp", "covid", "normal")))

    store = Store(tmp_path, without=("source-1",))

    sampler = Sampler(store.units("train", "all"), Sampling())
    assert {unit.source for unit in sampler.units} == {"source-0"}
    assert store.sources == ("source-0",)
    assert len(store.records) == 4
    with pytest.raises(StoreError, match="no source 'source-9'"):
        Store(tmp_path, without=("source-9",))


def test_a_corrupted_picture_is_named_by_its_row_and_not_by_its_patient(tmp_path: Path) -> None:
    picture_file(tmp_path, "good.png", striped("covid", 1))
    content = bytearray((tmp_path / "good.png").read_bytes())
    content[60:90] = bytes(30)
    (tmp_path / "bad.png").write_bytes(content)
    row = manifest_row("bad.png", subject_id="Doe^Jane")

    with pytest.raises(AicoronaError, match="scan bad could not be read") as raised:
        prepare(Manifest((row,), ""), tmp_path, tmp_path / "store")

    assert "Doe" not in str(raised.value)
    assert not (tmp_path / "store" / "index.json").exists()
    assert not list((tmp_path / "store").glob("*"))


def test_an_empty_scan_is_named_by_its_row(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    row = manifest_row("scan", layout=Layout.PICTURES, subject_id="Doe^Jane")

    with pytest.raises(AicoronaError, match="scan") as raised:
        prepare(Manifest((row,), ""), tmp_path, tmp_path / "store")

    assert "no pictures" in str(raised.value)
    assert "Doe" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "pixels", "said"),
    [
        ({"label": "flu"}, striped("covid", 1), "Row 2 of the manifest has a label"),
        ({}, np.zeros((0, 4), np.uint8), "A slice of row 2 of the manifest is empty"),
    ],
)
def test_what_cant_be_stored_is_named(tmp_path: Path, changes: dict[str, str], pixels: Any, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        write_store(tmp_path, [(replace(record(0, "covid"), **changes), pixels)], "")


def test_a_subject_in_two_splits_is_refused(tmp_path: Path) -> None:
    rows = [record(0, "covid"), record(1, "covid", subject="subject-0", split="tune")]

    with pytest.raises(StoreError, match="row 3 of the manifest is in two splits"):
        write_store(tmp_path, [(row, striped("covid", 1)) for row in rows], "")


def test_no_slices_make_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no slice that can be used"):
        write_store(tmp_path, [], "")


def test_a_full_disk_is_said_and_the_old_store_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_of(tmp_path, slices_of_scans(("normal",)))
    before = (tmp_path / "index.json").read_bytes(), (tmp_path / "picture.bin").read_bytes()

    def full(*_arguments: object) -> tuple[tuple[int, ...], np.ndarray]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stores, "_stored", full)
    with pytest.raises(StoreError, match=r"can't be written: No space left on device"):
        write_store(tmp_path, slices_of_scans(("covid",)), "")

    assert ((tmp_path / "index.json").read_bytes(), (tmp_path / "picture.bin").read_bytes()) == before
    assert {path.name for path in tmp_path.iterdir()} == {"index.json", "picture.bin"}


def test_a_store_that_was_cut_off_says_so(tmp_path: Path) -> None:
    store_of(tmp_path, slices_of_scans(("normal", "covid")))
    whole = (tmp_path / "picture.bin").read_bytes()
    (tmp_path / "picture.bin").write_bytes(whole[:-10])

    with pytest.raises(StoreError, match="row 3 is missing"):
        Store(tmp_path).pixels(3)
    (tmp_path / "index.json").write_text(json.dumps({"slices": []}))
    with pytest.raises(StoreError, match="prepare it again"):
        Store(tmp_path)
