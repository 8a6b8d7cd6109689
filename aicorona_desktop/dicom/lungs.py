"""Arithmetic on a coarse copy of a volume: is there a lung in a body, do neighbouring slices belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.dicom.thresholds import GATE

_SOFT_TISSUE_WINDOW_HU = (-1000, 400)  # where anatomy is: metal and padding must not decide


@dataclass(frozen=True, slots=True)
class LungPiece:
    """The largest connected piece of lung-like voxels inside the body."""

    volume_ml: float
    body_ml: float  # the body around it, lungs included


def load_labelling() -> None:
    """Load scipy.ndimage: a tenth of a second that no start of the program that checks nothing should take."""
    import scipy.ndimage  # noqa: F401


def largest_lung_piece(hounsfield: NDArray[np.int16], voxel_mm3: float) -> LungPiece:
    """Return the largest piece of voxels of -950 to -600 HU that the body encloses in every slice.

    The body is the largest connected piece of tissue, its holes filled slice by slice; air that reaches the
    edge of a slice lies outside. So neither the air around a patient, nor the foam of a table, nor the
    shadow of air at the skin counts as lung.

    Args:
        hounsfield: int16 of shape (slices, rows, columns), coarse (about 64 to 128 pixels a side), padding
            already at -1000.
        voxel_mm3: the volume of a voxel of that array.
    """
    from scipy import ndimage

    within_slices = np.zeros((3, 3, 3), dtype=bool)
    within_slices[1, :, 1] = within_slices[1, 1, :] = True

    tissue = _largest(ndimage.label(hounsfield > GATE.tissue_over_hu)[0])
    hollows = ndimage.label(~tissue, structure=within_slices)[0]
    body = ~np.isin(hollows, _labels_at_the_edge(hollows)) | tissue
    lung_like = (hounsfield >= GATE.lung_from_hu) & (hounsfield <= GATE.lung_to_hu) & body
    lung = _largest(ndimage.label(lung_like)[0])
    voxel_ml = voxel_mm3 / 1000
    return LungPiece(int(np.count_nonzero(lung)) * voxel_ml, int(np.count_nonzero(body)) * voxel_ml)


def neighbours_alike(hounsfield: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the correlation of each slice with the next, float64 of shape (slices - 1,).

    A slice without contrast resembles nothing: 0.

    Args:
        hounsfield: int16 of shape (slices, rows, columns), padding already at -1000.
    """
    pixels = hounsfield.clip(*_SOFT_TISSUE_WINDOW_HU).reshape(len(hounsfield), -1).astype(np.float32)
    pixels -= pixels.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", pixels, pixels)).astype(np.float64)
    products = np.einsum("ij,ij->i", pixels[:-1], pixels[1:]).astype(np.float64)
    scale = lengths[:-1] * lengths[1:]
    alike: NDArray[np.float64] = np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
    return alike


def _largest(labels: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    largest: NDArray[np.bool_] = labels == int(np.argmax(counts)) if counts.any() else np.zeros(labels.shape, bool)
    return largest


def _labels_at_the_edge(labels: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
    edges = (labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1])
    return np.unique(np.concatenate([edge.ravel() for edge in edges]))
