"""How quickly a study opens with and without kept slices: `python tests/benchmarks/bench_volume_cache.py [FOLDER]`.

Studies of 40 and 400 slices of 512 x 512, as they come and as JPEG 2000 without loss. Printed are, in ms: the first
picture (the headers are read, the middle slice is there) and all slices, from the files and from the cache, each
with a reader that knows the study not yet; what keeping costs; and how much room it takes.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pydicom
from pydicom.uid import JPEG2000Lossless

from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.dicom.writing import ct_slice
from aicorona_desktop.history.store import History
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.triage.reading import FileReading
from tests import phantom


def write_study(folder: Path, name: str, slices: int, *, compressed: bool) -> None:
    thorax = Thorax(slices=slices, matrix=512, slice_spacing_mm=300 / slices)
    chest = phantom.Chest(name, thorax)
    drawn = [thorax.slice(slices * part // 8) for part in (2, 3, 4, 5)]
    folder.mkdir(parents=True)
    encoded: dict[int, bytes] = {}
    for index, position in enumerate(thorax.positions_mm):
        values = {**chest._common(), **chest._of_slice(index)}
        data = ct_slice(drawn[index % 4], position, thorax.pixel_spacing_mm, values)
        if compressed:
            dataset = pydicom.dcmread(io.BytesIO(data))
            if index % 4 in encoded:
                dataset.PixelData, uid = encoded[index % 4], JPEG2000Lossless
                dataset["PixelData"].VR = "OB"
                dataset["PixelData"].is_undefined_length = True
                dataset.file_meta.TransferSyntaxUID = uid
            else:
                dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
                encoded[index % 4] = dataset.PixelData
            stream = io.BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            data = stream.getvalue()
        (folder / f"IM{index:04d}.dcm").write_bytes(data)


def look(history: History, uid: str, reader: Reader, volumes: VolumeCache) -> tuple[float, float]:
    """Open a study as the viewer does; return ms until the first picture, and until all slices are there."""
    viewer, started = StudyReader(lambda: reader, volumes), time.perf_counter()
    series = viewer.open(history, uid).series[0]
    middle = len(series.instances) // 2
    order = sorted(range(len(series.instances)), key=lambda index: abs(index - middle))
    first = 0.0
    for _ in viewer.shown_slices(series, order):
        first = first or time.perf_counter() - started
    return 1000 * first, 1000 * (time.perf_counter() - started)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch, Reader() as reader:
        for slices in (40, 400):
            for compressed in (False, True):
                measure(Path(scratch) / f"{slices}-{compressed}", slices, reader, compressed=compressed)


def measure(folder: Path, slices: int, reader: Reader, *, compressed: bool) -> None:
    write_study(folder / "in", folder.name, slices, compressed=compressed)
    instances = FileReading(reader, Spool(folder / "spool")).read([folder / "in"]).instances
    [study] = studies_of(instances)
    uid = study.study_instance_uid
    with History.open(folder / "history.sqlite") as history:
        history.record_received(study)
        none, cache = VolumeCache(None), VolumeCache(folder / "cache")
        plain = min(look(history, uid, reader, none) for _ in range(2))
        keeping = look(history, uid, reader, cache)
        kept = sorted(look(history, uid, reader, cache) for _ in range(3))[1]
        size = cache.size_bytes / 1e6
    kind = "JPEG 2000" if compressed else "as it comes"
    print(
        f"{slices:4} slices, {kind:11}: first {plain[0]:6.0f}, all {plain[1]:6.0f} from the files; "
        f"all {keeping[1]:6.0f} while keeping; first {kept[0]:5.0f}, all {kept[1]:5.0f} from the cache, {size:.0f} MB"
    )


if __name__ == "__main__":
    main()
