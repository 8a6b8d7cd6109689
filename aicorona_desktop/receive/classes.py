"""Which objects the receiver takes, in which transfer syntaxes; and the head of the file that each is kept in.

CT is what the program reads: these classes come in the transfer syntaxes that the reader decodes, and a sender that
holds another one transcodes, or says that it can't. The companions of a CT study (reports, captures, presentation
states, dose) are taken as well and accounted for as "not an image to score": many senders give up the whole study
when one of its classes is refused. They are never decoded, so that any common transfer syntax will do. Classes that
don't come with a CT are refused: what the program has no use for shall not lie on its disk.

Source: DICOM PS3.4 B.5 (classes), PS3.5 10 (transfer syntaxes), PS3.10 7.1 (file meta information).
"""

from __future__ import annotations

import re
import struct

CT = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")
COMPANIONS = (
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture, also multi-frame
    "1.2.840.10008.5.1.4.1.1.7.1",
    "1.2.840.10008.5.1.4.1.1.7.2",
    "1.2.840.10008.5.1.4.1.1.7.3",
    "1.2.840.10008.5.1.4.1.1.7.4",
    "1.2.840.10008.5.1.4.1.1.11.1",  # presentation states
    "1.2.840.10008.5.1.4.1.1.11.2",
    "1.2.840.10008.5.1.4.1.1.11.3",
    "1.2.840.10008.5.1.4.1.1.11.4",
    "1.2.840.10008.5.1.4.1.1.88.11",  # structured reports: basic, enhanced, comprehensive, 3D
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.34",
    "1.2.840.10008.5.1.4.1.1.88.35",
    "1.2.840.10008.5.1.4.1.1.88.40",  # procedure log
    "1.2.840.10008.5.1.4.1.1.88.50",  # CAD
    "1.2.840.10008.5.1.4.1.1.88.65",
    "1.2.840.10008.5.1.4.1.1.88.59",  # key objects
    "1.2.840.10008.5.1.4.1.1.88.67",  # dose, contrast
    "1.2.840.10008.5.1.4.1.1.88.76",
    "1.2.840.10008.5.1.4.1.1.104.1",  # encapsulated documents
    "1.2.840.10008.5.1.4.1.1.104.2",
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registration, fiducials, segmentation, real-world values
    "1.2.840.10008.5.1.4.1.1.66.1",
    "1.2.840.10008.5.1.4.1.1.66.2",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.67",
    "1.2.840.10008.5.1.4.1.1.9.1.1",  # ECG of a gated scan
    "1.2.840.10008.5.1.4.1.1.9.1.2",
    "1.2.840.10008.5.1.4.1.1.128",  # the PET half of a PET/CT
    "1.2.840.10008.5.1.4.1.1.130",
    "1.2.840.10008.5.1.4.1.1.481.3",  # structures drawn on the CT
)
UNCOMPRESSED = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
READ = (  # dicom/child/pixels.py decodes these
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
)
NOT_READ = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # JPEG with loss: fine for a photograph of a form

IMPLEMENTATION = "2.25.188442180397212498164730263719427081245"
"""Our Implementation Class UID; it never changes, so that an object sent again is the same file."""

_UID = re.compile(rb"[0-9.]{1,64}")
_PREFIX = bytes(128) + b"DICM"


def transfer_syntaxes(sop_class_uid: str) -> tuple[str, ...]:
    """Return the transfer syntaxes in which a class is taken; none for a class that is not."""
    if sop_class_uid in CT:
        return (*UNCOMPRESSED, *READ)
    return (*UNCOMPRESSED, *READ, *NOT_READ) if sop_class_uid in COMPANIONS else ()


def file_head(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes | None:
    """Return preamble and file meta information of a data set as received; None where a UID can't be one.

    The same object gives the same bytes whoever sends it: neither sender nor time stand in it.
    """
    uids = [one.encode("ascii", "replace") for one in (sop_class_uid, sop_instance_uid, transfer_syntax_uid)]
    if not all(map(_UID.fullmatch, uids)):
        return None
    elements = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")
    for number, uid in zip((0x02, 0x03, 0x10, 0x12), (*uids, IMPLEMENTATION.encode()), strict=True):
        padded = uid + b"\0" * (len(uid) % 2)
        elements += struct.pack("<HH2sH", 2, number, b"UI", len(padded)) + padded
    return _PREFIX + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements
