"""The program's log: ten files of 5 MB that only the user can read, one line a record, nobody's name in it.

Say in a log what happened and to which study by `internal_id`; names, identifiers, UIDs, dates of birth and
paths of sources stay out. Errors are logged with their kind and place, and with their text only where it is ours.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import traceback
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO

from aicorona_desktop.core.durable import ONLY_OURS
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.places import data_dir

LOGGER = "aicorona_desktop"
FILES = 10
LARGEST_FILE_BYTES = 5 * 1000 * 1000
LONGEST_RECORD = 8000
"""Characters: a record that somebody else could make long must not push out the others."""

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up_logs(folder: Path | None = None) -> Path:
    """Let the program's records go to files; return the newest one. A second call changes the folder.

    Args:
        folder: where the files lie, made if missing; `logs` in the data folder by default.
    """
    folder = folder or data_dir() / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    take_down_logs()
    handler = _PrivateFiles(folder / "aicorona-desktop.log")
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger(LOGGER)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    return Path(handler.baseFilename)


def take_down_logs() -> None:
    """Close the program's log files."""
    logger = logging.getLogger(LOGGER)
    for handler in [handler for handler in logger.handlers if isinstance(handler, _PrivateFiles)]:
        logger.removeHandler(handler)
        handler.close()


def internal_id(uid: str) -> str:
    """Return what a study, series or instance is called in logs: a short hash that names nobody."""
    return hashlib.sha256(uid.encode("utf-8", "surrogateescape")).hexdigest()[:10]


class OneLine(logging.Formatter):
    """Writes a record on one line: newlines, control and direction characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        cached, record.exc_text = record.exc_text, None  # another handler's text may hold more than ours
        try:
            return escaped(super().format(record))[:LONGEST_RECORD]
        finally:
            record.exc_text = cached

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 - logging's name
        """Return kinds and places of the error and its causes; text only where it is ours."""
        return " <- ".join(_told(error) for error in _chain(ei[1]))


def escaped(text: str) -> str:
    """Return text without a character that could end the line, move the cursor or turn the reading direction."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


class _PrivateFiles(RotatingFileHandler):
    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LARGEST_FILE_BYTES, backupCount=FILES - 1, encoding="utf-8", delay=True)

    def _open(self) -> IO[str]:  # type: ignore[override] # typeshed names the concrete class
        opener = partial(os.open, mode=ONLY_OURS)
        return open(self.baseFilename, self.mode, encoding=self.encoding, errors="backslashreplace", opener=opener)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain and len(chain) < 8:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _told(error: BaseException) -> str:
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-6:]]
    return f"{type(error).__name__}{_text(error)} at {' > '.join(places) or 'an unknown place'}"


def _text(error: BaseException) -> str:
    if isinstance(error, AicoronaError):
        return f" ({error})"
    if isinstance(error, OSError) and error.errno is not None:  # its own text would name the file
        return f" ({errno.errorcode.get(error.errno, error.errno)})"
    return ""
