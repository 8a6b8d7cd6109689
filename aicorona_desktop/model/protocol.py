"""What the scorer process and its client say to each other, in the frames of `core.frames`."""

from __future__ import annotations

from enum import IntEnum


class Kind(IntEnum):
    """The kind of a frame, with its fields in order; the request number of an answer is that of its question."""

    # to the scorer
    LOAD = 1  # model bytes, preparation, input size, provider, worker threads; the first frame, and only that
    SLICE = 2  # hounsfield int16 [h, w], padding -32768
    PICTURE = 3  # grey uint8, uint16 or float [h, w]
    CANCEL = 4  # forget what has not begun
    # from the scorer
    READY = 11  # provider that really runs, providers there are (texts), runtime version, device and driver
    SCORE = 12  # cam float32 [3, h, w], features float32 [f], seconds of preparation, seconds of the network
    FAILED = 13  # short text for the log


PROVIDERS = ("cpu", "cuda", "dml", "openvino", "openvino-bf16")
"""Our names of what may run the model; `auto` tries CUDA, DirectML and the CPU."""
