"""How far a study lies from what the model was trained on (design D9)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.model.pack import FeatureStatistics


def training_distance(statistics: FeatureStatistics, features: Iterable[NDArray[np.float32]]) -> float:
    """Return the mean over a study's slices of `training_distances`.

    Args:
        statistics: mean and shrunk covariance of the training data's features.
        features: of each slice, [1536]; at least one.
    """
    return float(training_distances(statistics, np.stack(list(features))).mean())


def training_distances(statistics: FeatureStatistics, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Mahalanobis distance [n] of each slice's features [n, 1536] to the training data's.

    The covariance is shrunk to its main directions and one variance for all others, as `FeatureStatistics` says.
    """
    rows = features.astype(np.float64)
    if statistics.unit_length:
        # A slice without any feature has no direction; it keeps its place at the origin.
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    away = rows - statistics.mean
    along = away @ statistics.components.T.astype(np.float64)
    # What the directions leave of the length can't be negative but by rounding.
    rest = np.maximum(0.0, np.square(away).sum(axis=1) - np.square(along).sum(axis=1))
    squared = np.square(along) @ (1.0 / statistics.variances.astype(np.float64)) + rest / statistics.residual_variance
    distances: NDArray[np.float64] = np.sqrt(squared)
    return distances
