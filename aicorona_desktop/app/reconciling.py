"""After a backup was put back: our copies that it doesn't know are read again, so that no study stays away."""

from __future__ import annotations

import logging

from aicorona_desktop.app.storage import originals_beside
from aicorona_desktop.history.backup import RESTORED_FROM
from aicorona_desktop.history.store import History, HistoryError
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.triage.engine import Engine

log = logging.getLogger(__name__)

LABEL = "Files from after the backup"


def read_what_a_backup_lacks(engine: Engine, history: History) -> int:
    """Hand the engine every copy of ours that the history doesn't know; return how many, 0 unless one was put back.

    Their verdicts are in the ledger that was set aside; the copies are only read, and prove themselves by their hash.
    Asked for until the history says that it was done; reading a file twice records nothing twice.
    """
    try:
        if not history.setting(RESTORED_FROM):
            return 0
        originals, known = Originals(originals_beside(history.path)), history.known_sha256s()
        missing = sorted(originals.path_of(sha256) for sha256, _ in originals.listing() if sha256 not in known)
        if missing:
            engine.submit(missing, LABEL)
        history.set_setting(RESTORED_FROM, "")
    except (HistoryError, OSError) as error:
        log.warning("what a backup lacks could not be read; the next start tries again", exc_info=error)
        return 0
    return len(missing)
