"""Findings in the words of the window: the one place where they become sentences for the screen (ux.md 13)."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.core.findings import Finding, Reason

translate = QCoreApplication.translate

_COMPRESSIONS = {
    ("51", "52", "53", "54", "55", "56"): "JPEG, 12 bit or progressive",
    ("92", "93"): "JPEG 2000 in several components",
    ("94", "95", "204", "205"): "JPIP, pictures kept on a server",
    ("100", "101"): "MPEG-2",
    ("102", "103", "104", "105", "106"): "MPEG-4, H.264",
    ("107", "108"): "HEVC, H.265",
    ("110", "111", "112"): "JPEG XL",
    ("201", "202", "203"): "High-Throughput JPEG 2000",
}


def finding_text(finding: Finding) -> str:
    """Return a finding as one sentence for a person at the screen."""
    if finding.reason is Reason.TRANSFER_SYNTAX:
        words = translate("Findings", "These images use a compression this version cannot open ({name}).")
        return words.format(name=compression_name(finding.name))
    return str(finding)


def compression_name(transfer_syntax_uid: str) -> str:
    """Return what a compression is called, with its UID; the UID alone where it has no name here.

    Source: DICOM PS3.6, table A-1.
    """
    last = transfer_syntax_uid.removeprefix("1.2.840.10008.1.2.4.")
    name = next((name for ends, name in _COMPRESSIONS.items() if last in ends), "")
    return f"{name}, {transfer_syntax_uid}" if name else transfer_syntax_uid
