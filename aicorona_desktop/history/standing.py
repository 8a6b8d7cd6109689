"""What the ledger derives from its facts and keeps beside them, so that lanes and filters page from indices.

Every column written here can be made anew from the rest of the ledger; an empty `standing` asks for that.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from aicorona_desktop import __version__
from aicorona_desktop.core.lanes import Standing, finite_probabilities, model_answer, standing_of
from aicorona_desktop.core.rows import Row
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.history import queries, recording
from aicorona_desktop.history.values import OutcomeKind, time_text

SETTLED_BY = "lanes settled by version"  # a key of the settings
RULES = f"{__version__}+2"
"""The version, and how often its rules have changed since: what was derived by other rules is derived anew."""

OVER_EVERY_PROBABILITY = 2.0  # the operating point that nothing reaches

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def settle(connection: sqlite3.Connection, study: int) -> None:
    """Set where a study stands, from the row that everybody else is given."""
    columns = _derived(queries.row_of(connection, study))
    names = ", ".join(columns)
    before = connection.execute(f"SELECT {names} FROM study WHERE sequence = ?", (study,)).fetchone()  # noqa: S608
    if tuple(before) == tuple(columns.values()):
        return  # most steps change nothing here, and to write is what costs
    changes = ", ".join(f"{name} = ?" for name in columns)
    connection.execute(f"UPDATE study SET {changes} WHERE sequence = ?", (*columns.values(), study))  # noqa: S608


def refresh(connection: sqlite3.Connection, study: int) -> None:
    """Set everything that is derived of a study: what people said, its files, where it stands."""
    set_verdict(connection, study)
    set_outcome(connection, study)
    set_note(connection, study)
    connection.execute(
        "UPDATE study SET files_received = (SELECT count(DISTINCT sha256) FROM instance JOIN series"
        " ON series.sequence = instance.series WHERE series.study = study.sequence), files_refused ="
        " (SELECT count(DISTINCT sha256) FROM refusal WHERE refusal.study = study.sequence) WHERE sequence = ?",
        (study,),
    )
    settle(connection, study)


def _derived(row: Row) -> dict[str, object]:
    probabilities = finite_probabilities(row)
    read_at = row.read_at
    return {
        "standing": (Standing.REMOVED if row.removed_at else standing_of(row)).value,
        "by_covid": -probabilities[2] if probabilities else 1.0,
        "by_normal": probabilities[0] if probabilities else 2.0,
        "by_read": -((read_at - _EPOCH) // timedelta(microseconds=1)) if read_at else 0,
        "model_top": model_answer(row, None),
        "model_other": model_answer(row, OVER_EVERY_PROBABILITY),
        "doubtful": int(row.doubtful),
        "one_slice": int(row.rests_on_one_slice),
    }


# --- what people said -----------------------------------------------------------------------------------------

# The + keeps SQLite from walking all rows that take nothing back, by the index of that column.
_STANDS = "+takes_back IS NULL AND NOT EXISTS (SELECT 1 FROM {0} AS later WHERE later.takes_back = {0}.sequence)"


def set_verdict(connection: sqlite3.Connection, study: int) -> None:
    """Set what people say of the present files, or unread.

    Of each person the newest verdict counts, whole: it may take away what the one before said. Impression and action
    are then each of the newest that names one, so that one person's action leaves another's impression standing.
    The reader is who gave the impression; where nobody has, who came last.
    """
    said = connection.execute(
        f"SELECT sequence, at, impression, action, initials FROM verdict WHERE study = ?1"  # noqa: S608 - our own names
        f" AND {_STANDS.format('verdict')} AND revision = (SELECT revision FROM study WHERE sequence = ?1)"
        " ORDER BY sequence",
        (study,),
    ).fetchall()
    by_person = {one["initials"].casefold() or one["sequence"]: one for one in said}
    newest_first = sorted(by_person.values(), key=lambda one: -int(one["sequence"]))
    impression = next((one for one in newest_first if one["impression"]), None)
    action = next((one["action"] for one in newest_first if one["action"]), "")
    reader = impression or next(iter(newest_first), None)
    connection.execute(
        "UPDATE study SET read_at = ?, impression = ?, action = ?, read_by = ? WHERE sequence = ?",
        (
            newest_first[0]["at"] if newest_first else None,
            impression["impression"] if impression else "",
            action,
            reader["initials"] if reader else "",
            study,
        ),
    )


def set_outcome(connection: sqlite3.Connection, study: int) -> None:
    """Set the class that later truth names, and what RT-PCR said.

    The outcome of a study is the class of the latest report, follow-up or positive RT-PCR (which names
    COVID-19); a negative or inconclusive RT-PCR names none. Latest is by the day it is of, else of its entry.

    Source: paper-spec 11 (composite reference) and 15, item 20.
    """
    found = connection.execute(
        f"SELECT kind, value FROM outcome WHERE study = ? AND {_STANDS.format('outcome')}"  # noqa: S608 - our own names
        " ORDER BY CASE WHEN dated = '' THEN substr(at, 1, 10) ELSE dated END, sequence",
        (study,),
    ).fetchall()
    tests = [one["value"] for one in found if one["kind"] == OutcomeKind.RT_PCR]
    classes = ["covid" if one["value"] == "pos" else one["value"] for one in found]
    outcome = next((one for one in reversed(classes) if one in CLASSES), "")
    connection.execute(
        "UPDATE study SET outcome = ?, rt_pcr = ?, rt_pcr_negative = ? WHERE sequence = ?",
        (outcome, tests[-1] if tests else "", int("neg" in tests), study),
    )


def set_note(connection: sqlite3.Connection, study: int) -> None:
    """Set the newest note that stands, of a verdict or of the study."""
    found = connection.execute(
        f"SELECT note, at FROM verdict WHERE study = ?1 AND note <> '' AND {_STANDS.format('verdict')}"  # noqa: S608
        f" UNION ALL SELECT text, at FROM study_note WHERE study = ?1 AND {_STANDS.format('study_note')}"
        " ORDER BY at DESC LIMIT 1",
        (study,),
    ).fetchone()
    connection.execute("UPDATE study SET note = ? WHERE sequence = ?", (found["note"] if found else "", study))


def set_name(connection: sqlite3.Connection, study: int) -> None:
    """Set the name as it was read last, where that stands, and how the study is found by it."""
    found = connection.execute(
        f"SELECT patient_name FROM name_reading WHERE study = ? AND {_STANDS.format('name_reading')}"  # noqa: S608
        " ORDER BY sequence DESC LIMIT 1",
        (study,),
    ).fetchone()
    changed = connection.execute(
        "UPDATE study SET name_read_as = ?1 WHERE sequence = ?2 AND name_read_as <> ?1",
        (found["patient_name"] if found else "", study),
    )
    if changed.rowcount:
        recording.set_search_text(connection, study)


# --- all studies ----------------------------------------------------------------------------------------------


def is_unsettled(connection: sqlite3.Connection) -> bool:
    """Whether a study waits for what is derived of it."""
    return connection.execute("SELECT 1 FROM study WHERE standing = '' LIMIT 1").fetchone() is not None


def settle_unsettled(connection: sqlite3.Connection) -> None:
    """Set what is derived of every study that waits for it; a part of the caller's transaction."""
    for (study,) in connection.execute("SELECT sequence FROM study WHERE standing = ''").fetchall():
        refresh(connection, study)


def settle_for_this_version(connection: sqlite3.Connection, now: datetime) -> None:
    """Bring what is derived to the rules of this version of the program, in one transaction."""
    found = connection.execute("SELECT value FROM setting WHERE key = ?", (SETTLED_BY,)).fetchone()
    is_current = found is not None and found[0] == RULES
    if is_current and not is_unsettled(connection):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not is_current:
            for (study,) in connection.execute("SELECT DISTINCT study FROM verdict").fetchall():
                set_verdict(connection, study)
            for (study,) in connection.execute("SELECT sequence FROM study WHERE standing <> ''").fetchall():
                settle(connection, study)
        settle_unsettled(connection)
        connection.execute(
            "INSERT OR REPLACE INTO setting (key, value, changed_at, changed_by) VALUES (?, ?, ?, '')",
            (SETTLED_BY, RULES, time_text(now)),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
