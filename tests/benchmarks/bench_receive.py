"""The DICOM receiver against a real sender, dcmtk's storescu: 1,000 CT objects over one and over four associations.

    python -m tests.benchmarks.bench_receive [--objects N] [--matrix N]

Every object is acknowledged once it is safe on the disk. Bounds of the same run: the same files copied, flushed and
renamed one by one by a single thread without a network; and dcmtk's own storescp, which flushes nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from aicorona_desktop.core.durable import sync_folder
from aicorona_desktop.core.receiving import Caller, ReceiverSettings
from aicorona_desktop.dicom.writing import ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.receive.client import Receiver
from aicorona_desktop.receive.protocol import Listening, News


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--matrix", type=int, default=512)
    wishes = parser.parse_args()
    if shutil.which("storescu") is None:
        print("dcmtk's storescu is not installed here.")
        return 3
    with tempfile.TemporaryDirectory(prefix="receive-") as name:
        folder = Path(name)
        files = written(folder / "objects", wishes.objects, wishes.matrix)
        size_mb = sum(one.stat().st_size for one in files) / 1e6
        print(f"{len(files)} objects, {size_mb:.0f} MB, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        copied_s = timed("copy + flush + rename, one thread", lambda: copy_durably(files, folder / "copies"), files)
        for associations in (1, 4):
            scp_s = storescp(folder / f"scp{associations}", files, associations)
            ours_s, peak_mb = ours(folder / f"inbox{associations}", files, associations)
            print(
                f"  {associations} association(s): {ours_s / copied_s:.2f} x the durable copy, "
                f"{ours_s / scp_s:.2f} x storescp without flushing, receiver's peak {peak_mb:.0f} MB"
            )
    return 0


def written(folder: Path, count: int, matrix: int) -> list[Path]:
    folder.mkdir()
    thorax = Thorax(slices=min(count, 50), matrix=matrix)
    slices = [thorax.slice(index) for index in range(thorax.slices)]
    files = []
    for number in range(count):
        uids = {"StudyInstanceUID": uid_of("b"), "SeriesInstanceUID": uid_of("b", "s"), "Modality": "CT"}
        uids["SOPInstanceUID"] = uid_of("b", str(number))
        files.append(folder / f"{number:05}.dcm")
        files[-1].write_bytes(ct_slice(slices[number % len(slices)], float(number), thorax.pixel_spacing_mm, uids))
    return files


def copy_durably(files: list[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        part = folder / f"{file.name}.part"
        with part.open("wb") as stream:
            stream.write(file.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(folder / file.name)
        sync_folder(folder)


def timed(what: str, work: object, files: list[Path]) -> float:
    began = time.monotonic()
    work()  # type: ignore[operator]
    seconds = time.monotonic() - began
    print(f"  {what}: {seconds:.2f} s, {len(files) / seconds:.0f} objects/s")
    return seconds


def send(files: list[Path], associations: int, port: int, called: str) -> None:
    parts = [files[index::associations] for index in range(associations)]
    command = ["storescu", "-v", "-aet", "BENCH", "-aec", called, "127.0.0.1", str(port)]
    senders = [
        subprocess.Popen([*command, *map(str, part)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for part in parts
    ]
    said = [one.communicate()[0] for one in senders]
    stored = sum(text.count("Received Store Response (Success)") for text in said)
    if stored != len(files):
        sys.exit(f"only {stored} of {len(files)} objects were acknowledged")


def storescp(folder: Path, files: list[Path], associations: int) -> float:
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "-od", str(folder), "-aet", "SCP", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        wait_for(port)
        try:
            what = f"storescp, no flushing, {associations} association(s)"
            return timed(what, lambda: send(files, associations, port, "SCP"), files)
        finally:
            server.terminate()


def ours(inbox: Path, files: list[Path], associations: int) -> tuple[float, float]:
    port, heard = free_port(), []
    settings = ReceiverSettings(True, port=port, callers=(Caller("BENCH", ("127.0.0.1",)),))

    def hear(news: News) -> None:
        heard.append(news)

    receiver = Receiver(settings, inbox, hear)
    try:
        while not any(isinstance(one, Listening) for one in heard):
            time.sleep(0.01)
        what = f"our receiver, {associations} association(s)"
        seconds = timed(what, lambda: send(files, associations, port, "AICORONA"), files)
        peak = 0.0
        if sys.platform == "linux":
            peak = int(Path(f"/proc/{receiver.pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    finally:
        receiver.close()
    kept = sum(one.suffix == ".dcm" for one in inbox.iterdir())
    if kept != len(files):
        sys.exit(f"only {kept} of {len(files)} objects are in the inbox")
    return seconds, peak


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit("storescp did not start")


if __name__ == "__main__":
    sys.exit(main())
