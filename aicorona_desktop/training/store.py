"""Prepared pixels: every slice of a manifest read once through the product's reader, kept at a storage size.

A store is a folder: `picture.bin` (uint8) and `hounsfield.bin` (int16, little-endian), slices one after the other,
and `index.json`, which says what each slice is and where it lies. Nothing is stretched, so that training applies the
product's own preparation to what was in the file.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final, Literal

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.core.study import PADDING_HU
from aicorona_desktop.evaluation.layouts import Kind, ScanReader
from aicorona_desktop.evaluation.manifest import Layout, Manifest, ManifestRow, Split
from aicorona_desktop.imaging import resize
from aicorona_desktop.model import preprocess
from aicorona_desktop.model.selection import selected

INDEX: Final = "index.json"
NOT_COVID: Final = "not_covid"  # known only as not covid: normal and other disease mixed
UNLABELLED: Final = ""
LABELS: Final = (*CLASSES, NOT_COVID, UNLABELLED)

_DTYPES: Final = {"picture": "<u1", "hounsfield": "<i2"}

Pixels = NDArray[np.uint8] | NDArray[np.int16]
SourcePixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]


class StoreError(AicoronaError):
    """Training data can't be prepared or read; names the row of the manifest, never the patient."""


@dataclass(frozen=True, slots=True)
class SliceRecord:
    """One slice of the store. `scan` is empty for a single slice; `position` counts from the feet."""

    kind: Literal["picture", "hounsfield"]
    at: int  # where it begins in the file of its kind, in pixels
    height: int
    width: int
    subject: str
    source: str
    label: str  # one of LABELS
    quality: str
    split: str
    scan: str = ""
    position: int = 0
    row: int = 0  # of the manifest, for messages


@dataclass(frozen=True, slots=True)
class Unit:
    """What is drawn and answered as one: a scan's slices from feet to head, or one single slice."""

    subject: str
    source: str
    label: str
    scan: str
    slices: tuple[int, ...]  # places in `Store.records`


class Store:
    """An open store; pixels are mapped, not loaded."""

    def __init__(self, folder: Path, without: tuple[str, ...] = ()) -> None:
        """Open a folder that `prepare` wrote, leaving out the sources named.

        Raises:
            StoreError: it is no store, or a source to be left out is not in it.
        """
        try:
            index = json.loads((folder / INDEX).read_text("utf-8"))
            records = tuple(SliceRecord(**one) for one in index["slices"])
            self.manifest_sha256 = str(index["manifest_sha256"])
            self._arrays = {kind: _mapped(folder, kind) for kind in index["kinds"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError("The folder of prepared slices can't be read; prepare it again.") from error
        unknown = set(without) - {record.source for record in records}
        if unknown:
            raise StoreError(f"There is no source {min(unknown)!r} to leave out.")
        self.records = tuple(record for record in records if record.source not in without)

    def pixels(self, place: int) -> Pixels:
        """Return the slice [height, width]: uint8 grey, or int16 Hounsfield units with padding of -32768.

        Raises:
            StoreError: the array is shorter than the index says.
        """
        record = self.records[place]
        pixels = self._arrays[record.kind][record.at : record.at + record.height * record.width]
        if pixels.size < record.height * record.width:
            raise StoreError(f"The slice of row {record.row} is missing from the prepared slices; prepare them again.")
        return pixels.reshape(record.height, record.width)

    def prepared(self, place: int, preparation: str, size: int) -> NDArray[np.float32]:
        """Return what the product would show the network: float32 [1, size, size] in 0...255."""
        pixels = self.pixels(place)
        if self.records[place].kind == "hounsfield":
            return preprocess.prepare(pixels.astype(np.int16, copy=False), preparation, size)
        return preprocess.prepare_picture(pixels, preparation, size)

    def units(self, split: str, slice_rule: str) -> tuple[Unit, ...]:
        """Return the units of a split, in the order of the manifest; of scans only what the slice rule keeps."""
        scans: dict[tuple[str, str], list[int]] = {}
        for place, record in enumerate(self.records):
            if record.split == split:
                scans.setdefault((record.scan, "" if record.scan else str(place)), []).append(place)
        return tuple(self._unit(places, slice_rule) for places in scans.values())

    def _unit(self, places: list[int], slice_rule: str) -> Unit:
        first = self.records[places[0]]
        ordered = sorted(places, key=lambda place: self.records[place].position)
        kept = [ordered[at] for at in selected(len(ordered), slice_rule)] if first.scan else ordered
        return Unit(first.subject, first.source, first.label, first.scan, tuple(kept))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """All sources, sorted."""
        return tuple(sorted({record.source for record in self.records}))


def _mapped(folder: Path, kind: str) -> Pixels:
    array: Pixels = np.memmap(folder / f"{kind}.bin", _DTYPES[kind], "r")
    return array


# --- making one --------------------------------------------------------------------------------------------------


def prepare(
    manifest: Manifest,
    root: Path,
    out: Path,
    *,
    storage_px: int = 512,
    splits: Sequence[Split] = (Split.TRAIN, Split.TUNE),
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> int:
    """Read every slice of a manifest once and write a store; return how many slices it has.

    Args:
        manifest: what is to be read.
        root: the folder that its paths are relative to.
        out: the folder of the store; an old store in it is replaced.
        storage_px: slices with a longer side are shrunk to it by the mean over an area.
        splits: the splits that are read.
        told: hears how many rows are done, and of how many.

    Raises:
        ScanError: a scan can't be read; names its row.
        StoreError: a scan is empty, or the store can't be written.
    """
    chosen = [(line, row) for line, row in enumerate(manifest.rows, 2) if row.split in splits]  # line 1: the header

    def slices() -> Iterator[tuple[SliceRecord, SourcePixels]]:
        with ScanReader(root) as reader:
            for done, (line, row) in enumerate(chosen, 1):
                yield from _slices_of(reader, row, line)
                told(done, len(chosen))

    return write_store(out, slices(), manifest.sha256, storage_px)


def _slices_of(reader: ScanReader, row: ManifestRow, line: int) -> Iterator[tuple[SliceRecord, SourcePixels]]:
    scan = reader.open(row)
    if not scan.n_slices:
        raise StoreError(f"The scan of row {line} of the manifest is empty.")
    kind: Literal["picture", "hounsfield"] = "hounsfield" if scan.kind is Kind.HOUNSFIELD else "picture"
    for position, pixels in scan.slices():
        yield (
            SliceRecord(
                kind=kind,
                at=0,
                height=0,
                width=0,
                subject=row.subject_id,
                source=row.origin,
                label=row.label3 or NOT_COVID,
                quality=str(row.label_quality),
                split=str(row.split),
                scan="" if row.layout is Layout.PICTURE else row.scan_id,
                position=position,
                row=line,
            ),
            pixels,
        )


def write_store(
    out: Path, slices: Iterable[tuple[SliceRecord, SourcePixels]], manifest_sha256: str, storage_px: int = 512
) -> int:
    """Write slices with their records (place and size are filled in here) and return how many there are.

    Raises:
        StoreError: no slices, an empty one, a label nobody knows, a subject in two splits, or a full disk.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with ExitStack() as closing:
            records = _written(out, slices, storage_px, closing)
    except OSError as error:
        raise StoreError(f"The prepared slices can't be written: {error.strerror or 'unknown reason'}.") from error
    if not records:
        raise StoreError("The manifest names no slice that can be used.")
    index = {
        "manifest_sha256": manifest_sha256,
        "storage_px": storage_px,
        "kinds": sorted({record.kind for record in records}),
        "slices": [dataclasses.asdict(record) for record in records],
    }
    try:
        write_file(out / INDEX, json.dumps(index).encode())
    except OSError as error:
        raise StoreError(f"The prepared slices can't be written: {error.strerror or 'unknown reason'}.") from error
    return len(records)


def _written(
    out: Path, slices: Iterable[tuple[SliceRecord, SourcePixels]], storage_px: int, closing: ExitStack
) -> list[SliceRecord]:
    """Append each slice to the file of its kind; the files get their names when all is in them."""
    parts: dict[str, tuple[Path, BinaryIO]] = {}
    ends = dict.fromkeys(_DTYPES, 0)
    records: list[SliceRecord] = []
    splits: dict[str, str] = {}
    for record, pixels in slices:
        _check(record, pixels, splits)
        stored = _stored(pixels, storage_px)
        if record.kind not in parts:
            path = out / f".{record.kind}.{secrets.token_hex(4)}.part"
            closing.callback(path.unlink, missing_ok=True)
            parts[record.kind] = (path, closing.enter_context(path.open("xb")))
        height, width = stored.shape
        records.append(replace(record, at=ends[record.kind], height=height, width=width))
        ends[record.kind] += stored.size
        parts[record.kind][1].write(stored.astype(_DTYPES[record.kind]).tobytes())
    for kind, (path, stream) in parts.items():
        stream.close()
        path.replace(out / f"{kind}.bin")
    return records


def _check(record: SliceRecord, pixels: SourcePixels, splits: dict[str, str]) -> None:
    if record.label not in LABELS:
        raise StoreError(f"Row {record.row} of the manifest has a label that nobody knows.")
    if splits.setdefault(record.subject, record.split) != record.split:
        raise StoreError(f"The subject of row {record.row} of the manifest is in two splits.")
    if pixels.ndim != 2 or not pixels.size:
        raise StoreError(f"A slice of row {record.row} of the manifest is empty.")


def _stored(pixels: SourcePixels, storage_px: int) -> Pixels:
    """Return a slice at the storage size, as uint8 or int16.

    16-bit pictures become 8-bit ones: they are stretched per slice anyway, and 256 steps are what screens had.
    """
    if pixels.dtype == np.uint16:
        top = max(int(pixels.max(initial=0)), 1)
        pixels = np.round(pixels.astype(np.float32) * (255 / top)).astype(np.uint8)
    scale = min(1.0, storage_px / max(pixels.shape))
    rows, columns = (max(1, round(side * scale)) for side in pixels.shape)
    if pixels.dtype == np.uint8:
        grey = pixels.astype(np.uint8, copy=False)
        return grey if scale == 1 else np.round(resize.area(grey.astype(np.float32), rows, columns)).astype(np.uint8)
    if scale == 1:
        return pixels.astype(np.int16, copy=False)
    padded = pixels == PADDING_HU
    outside = resize.area(padded.astype(np.float32), rows, columns)
    inside = resize.area(np.where(padded, 0, pixels).astype(np.float32), rows, columns)
    mean = inside / np.maximum(1 - outside, 1e-6)
    shrunk: NDArray[np.int16] = np.where(outside > 0.5, PADDING_HU, np.round(mean)).astype(np.int16)
    return shrunk
