"""What the pre-scan of one 512 x 512 slice costs: `python tests/benchmarks/bench_prescan.py`.

For each transfer syntax: the median of the rounds in ms of CPU, and its ratio to pydicom's own reading of the same
file's header in the same round.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from aicorona_desktop.dicom.child.prescan import scan
from aicorona_desktop.dicom.writing import ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax

ROUNDS = 31


def files() -> dict[str, bytes]:
    thorax = Thorax(slices=40, matrix=512)
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    plain = ct_slice(thorax.slice(20), (0, 0, 0), 350 / 512, {name: uid_of("bench", name) for name in names})
    encoded = {"native": plain}
    for name, syntax in (("RLE", RLELossless), ("JPEG 2000", JPEG2000Lossless)):
        dataset = pydicom.dcmread(BytesIO(plain))
        dataset.compress(syntax, generate_instance_uid=False)
        encoded[name] = saved(dataset)
    dataset = pydicom.dcmread(BytesIO(plain))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return encoded | {"deflated": saved(dataset)}


def saved(dataset: pydicom.Dataset) -> bytes:
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def milliseconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return 1000 * (time.process_time() - started)


def pair(data: bytes) -> tuple[float, float]:
    """One round: the pre-scan, and pydicom's header of the same file."""
    return milliseconds(lambda: scan(data)), milliseconds(
        lambda: pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
    )


if __name__ == "__main__":
    for name, data in files().items():
        pairs = [pair(data) for _ in range(ROUNDS)]
        ours = statistics.median(prescan for prescan, _ in pairs)
        ratio = statistics.median(prescan / header for prescan, header in pairs)
        print(f"prescan {name}: {ours:.2f} ms of CPU a slice, {ratio:.2f} times pydicom's header, {ROUNDS} rounds")
