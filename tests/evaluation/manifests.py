"""Rows of made-up manifests."""

from __future__ import annotations

from typing import Any

from aicorona_desktop.evaluation.manifest import Cohort, LabelSource, ManifestRow, QcStatus, Split, class_of


def row(scan: str = "s1", subject: str = "", label: str = "covid", **values: Any) -> ManifestRow:
    """An ok scan of forty slices; what is named is otherwise."""
    given: dict[str, Any] = {
        "cohort": Cohort.OTHER,
        "split": Split.TRAIN,
        "label3": class_of(label),
        "n_slices": 40,
        "label_source": LabelSource.PUBLIC,
        "qc_status": QcStatus.OK,
    }
    return ManifestRow(scan_id=scan, subject_id=subject or f"of-{scan}", label_raw=label, **{**given, **values})
