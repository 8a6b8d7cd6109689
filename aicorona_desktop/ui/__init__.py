"""The window: all Qt there is. Views decide nothing; threads and what crosses them live in `jobs.py`."""

from __future__ import annotations

import ctypes
import sys

PLENTY = 1 << 40


def _keep_constants_alive() -> None:
    """Give the constants more references than will ever be taken away.

    The wheels of PySide6 6.12 are built for interpreters in which constants are immortal (Python 3.12 and later) and
    hand them out without a reference of their own, although they may be installed beside older ones: every call that
    returns None or True, such as `widget.resize` or `signal.emit`, takes one away. Some ten thousand calls later an
    older interpreter ends with the fatal error "deallocating None". `tests/ui/test_constants.py` shows it; a release
    that mends it makes this useless, and harmless.
    """
    if sys.version_info < (3, 12):
        for constant in (None, True, False, NotImplemented, Ellipsis):
            ctypes.c_ssize_t.from_address(id(constant)).value += PLENTY  # an object begins with its references' number


_keep_constants_alive()
