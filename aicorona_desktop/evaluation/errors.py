"""What evaluation says when it can't go on."""

from __future__ import annotations

from aicorona_desktop.core.errors import AicoronaError


class EvaluationError(AicoronaError):
    """A figure can't be had from what was given, or a part of the program that it needs is not installed."""
