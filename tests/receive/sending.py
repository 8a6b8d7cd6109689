"""A sender for the tests: small CT objects of numbers, over pynetdicom or dcmtk, and a receiver to send them to."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
import pytest

from aicorona_desktop.core.receiving import Caller, ReceiverSettings
from aicorona_desktop.dicom.writing import ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.receive.client import Receiver
from aicorona_desktop.receive.protocol import Delivery, Listening, News

pynetdicom = pytest.importorskip("pynetdicom")

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
SENDER = Caller("SENDER", ("127.0.0.1",))
_LINES: list[socket.socket | None] = []
_THORAX = Thorax(slices=40, matrix=64)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def object_bytes(number: int, study: str = "sent") -> bytes:
    """One CT slice as a file; every number is another object."""
    tags = {"StudyInstanceUID": uid_of(study), "SeriesInstanceUID": uid_of(study, "series")}
    tags |= {"SOPInstanceUID": uid_of(study, str(number)), "Modality": "CT", "PatientID": "SYNTHETIC"}
    at = number % _THORAX.slices
    return ct_slice(_THORAX.slice(at), float(number), _THORAX.pixel_spacing_mm, tags)


def data_set_bytes(file: bytes) -> bytes:
    """The data set of a file, without preamble and meta information."""
    meta_length = int.from_bytes(file[140:144], "little")
    return file[144 + meta_length :]


def data_set(number: int, study: str = "sent") -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(object_bytes(number, study)))


@dataclass
class Heard:
    """Remembers the news."""

    news: list[News] = field(default_factory=list)

    def __call__(self, news: News) -> None:
        self.news.append(news)

    def wait_for(self, kind: type[News], count: int = 1, timeout_s: float = 20.0) -> Any:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            found = [one for one in self.news if isinstance(one, kind)]
            if len(found) >= count:
                return found[count - 1]
            time.sleep(0.01)
        raise AssertionError(f"heard only {self.news}")

    def ended(self) -> list[Delivery]:
        return [one for one in self.news if isinstance(one, Delivery) and one.ended]


@contextmanager
def receiving(inbox: Path, **settings: Any) -> Iterator[tuple[Receiver, Heard, int]]:
    """A receiver in its own process, listening."""
    heard = Heard()
    wanted = ReceiverSettings(True, **{"port": free_port(), "callers": (SENDER,)} | settings)
    receiver = Receiver(wanted, inbox, heard, again_s=(0.05,))
    try:
        heard.wait_for(Listening)
        yield receiver, heard, wanted.port
    finally:
        receiver.close()


def associate(
    port: int,
    title: str = "SENDER",
    called: str = "AICORONA",
    contexts: Any = ((CT, EXPLICIT),),
    timeout_s: float = 20,
) -> Any:
    entity = pynetdicom.AE(ae_title=title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = timeout_s
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    line = association.dul.socket
    _LINES.append(line.socket if line is not None else None)
    return association


def close_lines() -> None:
    """Close the sockets that the library leaves to the collector."""
    while _LINES:
        line = _LINES.pop()
        if line is not None:
            line.close()


def names_of(inbox: Path) -> set[str]:
    return {one.name for one in inbox.iterdir()}
