"""The parts below the window, opened and closed away from the window's thread."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from aicorona_desktop.app.services import Running, Wishes, running
from aicorona_desktop.core.events import Event
from aicorona_desktop.history.store import History
from aicorona_desktop.ui.identity import KEY_BYTES, site_key


@dataclass(frozen=True, slots=True)
class Opened:
    """What the window gets: the services, a second connection to read with, the key of codes, what is to be told."""

    running: Running
    reading: History
    codes_key: bytes
    told: tuple[str, ...]


class Services:
    """Opens everything once and closes it once; each may be called on any thread."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._one_at_a_time = threading.Lock()
        self._closed = False

    def open(self, wishes: Wishes, listener: Callable[[Event], None]) -> Opened | None:
        """Open everything; None where the window was closed meanwhile.

        Raises:
            AicoronaError: something could not be opened; all of it is closed again.
        """
        with self._one_at_a_time:
            if self._closed:
                return None
            told: list[str] = []
            with ExitStack() as stack:
                parts = stack.enter_context(running(wishes, listener, told.append))
                reading = stack.enter_context(History.open(parts.place, read_only=True))
                opened = Opened(parts, reading, _key(parts.place.parent), tuple(told))
                self._stack = stack.pop_all()
            return opened

    def close(self) -> None:
        """Stop the engine and its processes, close the history; a second call does nothing."""
        with self._one_at_a_time:
            self._closed = True
            self._stack.close()


def _key(folder: Path) -> bytes:
    """Return the key of the codes, beside the history so that all who share it see the same codes."""
    try:
        return site_key(folder)
    except OSError:  # a folder that can't be written: the codes then last as long as this window
        return secrets.token_bytes(KEY_BYTES)
