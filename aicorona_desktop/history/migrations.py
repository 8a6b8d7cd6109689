"""Every change of the tables, oldest first: added below, never edited above.

Each step is one transaction with fixed SQL and leaves its number in `user_version`. Tables are STRICT.
Times are ISO texts in UTC with microseconds, for people; order is by `sequence`, since clocks jump.
Hashes are 32 bytes. Findings are JSON lists of [outcome, code, found, needed, name].
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from aicorona_desktop.history.connection import one_number

SET = "history"

Step = Callable[[sqlite3.Connection], None]

_TABLES = (
    # When the program opened the ledger for writing; `closed_at` is missing after a crash.
    """CREATE TABLE session (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        opened_at TEXT NOT NULL,
        closed_at TEXT,
        application_version TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE source (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        shown TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT""",
    # state, result, read_at, impression and pinned_at are the newest of what the trails below say.
    # revision counts how often late files reopened the study.
    """CREATE TABLE study (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study_instance_uid TEXT NOT NULL UNIQUE,
        received_at TEXT NOT NULL,
        revision INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL,
        result INTEGER REFERENCES result(sequence),
        series_instance_uid TEXT NOT NULL DEFAULT '',
        series_reason TEXT NOT NULL DEFAULT '',
        findings TEXT NOT NULL DEFAULT '[]',
        outcome_findings TEXT NOT NULL DEFAULT '[]',
        read_at TEXT,
        impression TEXT NOT NULL DEFAULT '',
        pinned_at TEXT,
        patient_id TEXT NOT NULL DEFAULT '',
        issuer_of_patient_id TEXT NOT NULL DEFAULT '',
        patient_name TEXT NOT NULL DEFAULT '',
        patient_birth_date TEXT NOT NULL DEFAULT '',
        patient_sex TEXT NOT NULL DEFAULT '',
        patient_age_years REAL,
        study_date TEXT NOT NULL DEFAULT '',
        study_time TEXT NOT NULL DEFAULT '',
        study_description TEXT NOT NULL DEFAULT '',
        study_id TEXT NOT NULL DEFAULT '',
        accession_number TEXT NOT NULL DEFAULT '',
        institution_name TEXT NOT NULL DEFAULT ''
    ) STRICT""",
    "CREATE INDEX study_read_at ON study(read_at)",
    """CREATE TABLE study_state (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        state TEXT NOT NULL,
        cause TEXT NOT NULL,
        findings TEXT NOT NULL DEFAULT '[]',
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX study_state_study ON study_state(study)",
    """CREATE TABLE series (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        series_instance_uid TEXT NOT NULL,
        series_number INTEGER,
        series_description TEXT NOT NULL DEFAULT '',
        protocol_name TEXT NOT NULL DEFAULT '',
        modality TEXT NOT NULL DEFAULT '',
        manufacturer TEXT NOT NULL DEFAULT '',
        model_name TEXT NOT NULL DEFAULT '',
        convolution_kernel TEXT NOT NULL DEFAULT '',
        kvp REAL,
        slice_thickness_mm REAL,
        contrast_agent TEXT NOT NULL DEFAULT '',
        findings TEXT NOT NULL DEFAULT '[]',
        UNIQUE (study, series_instance_uid)
    ) STRICT""",
    """CREATE TABLE instance (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        series INTEGER NOT NULL REFERENCES series(sequence),
        identity TEXT NOT NULL,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        path BLOB NOT NULL,
        shown TEXT NOT NULL,
        source INTEGER NOT NULL REFERENCES source(id),
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        received_at TEXT NOT NULL,
        UNIQUE (identity, sha256)
    ) STRICT""",
    "CREATE INDEX instance_series ON instance(series)",
    """CREATE TABLE refusal (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        series_instance_uid TEXT NOT NULL,
        outcome TEXT NOT NULL,
        code TEXT NOT NULL,
        found REAL,
        needed REAL,
        name TEXT NOT NULL,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        path BLOB NOT NULL,
        shown TEXT NOT NULL,
        source INTEGER NOT NULL REFERENCES source(id),
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        recorded_at TEXT NOT NULL,
        UNIQUE (study, sha256, code)
    ) STRICT""",
    """CREATE TABLE pack (
        sha256 TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        status TEXT NOT NULL,
        recorded_at TEXT NOT NULL
    ) STRICT""",
    # Never changed once written; row_sha256 proves it (history/audit.py).
    """CREATE TABLE result (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        revision INTEGER NOT NULL,
        series_instance_uid TEXT NOT NULL,
        preliminary INTEGER NOT NULL,
        logit_normal REAL NOT NULL,
        logit_cp REAL NOT NULL,
        logit_covid REAL NOT NULL,
        probability_normal REAL NOT NULL,
        probability_cp REAL NOT NULL,
        probability_covid REAL NOT NULL,
        standard_error_normal REAL NOT NULL,
        standard_error_cp REAL NOT NULL,
        standard_error_covid REAL NOT NULL,
        slices_total INTEGER NOT NULL,
        half_spread REAL,
        rests_on_one_slice INTEGER,
        doubtful INTEGER,
        training_distance REAL,
        training_distance_limit REAL,
        pack TEXT NOT NULL,
        pack_sha256 TEXT NOT NULL REFERENCES pack(sha256),
        pack_status TEXT NOT NULL,
        preparation TEXT NOT NULL,
        provider TEXT NOT NULL,
        seconds_read REAL NOT NULL,
        seconds_infer REAL NOT NULL,
        application_version TEXT NOT NULL,
        gate_version TEXT NOT NULL,
        findings TEXT NOT NULL,
        result_key TEXT NOT NULL,
        slices_sha256 TEXT NOT NULL,
        recorded_at TEXT NOT NULL,
        row_sha256 TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX result_study ON result(study)",
    # A slice's logit is its contribution plus the pack's bias.
    """CREATE TABLE result_slice (
        result INTEGER NOT NULL REFERENCES result(sequence),
        slice_index INTEGER NOT NULL,
        identity TEXT NOT NULL,
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        contribution_normal REAL NOT NULL,
        contribution_cp REAL NOT NULL,
        contribution_covid REAL NOT NULL,
        PRIMARY KEY (result, slice_index)
    ) STRICT, WITHOUT ROWID""",
    # Taken back by a later row, never removed.
    """CREATE TABLE verdict (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        revision INTEGER NOT NULL,
        result INTEGER REFERENCES result(sequence),
        impression TEXT NOT NULL CHECK (impression IN ('', 'normal', 'cp', 'covid', 'cannot_judge')),
        co_rads INTEGER CHECK (co_rads BETWEEN 0 AND 6),
        action TEXT NOT NULL CHECK (action IN ('', 'now', 'routine', 'repeat')),
        note TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES verdict(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX verdict_study ON verdict(study)",
    """CREATE TABLE escalation (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        told TEXT NOT NULL,
        initials TEXT NOT NULL,
        note TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX escalation_study ON escalation(study)",
    """CREATE TABLE site_verification (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        pack_sha256 TEXT NOT NULL REFERENCES pack(sha256),
        preparation TEXT NOT NULL,
        device TEXT NOT NULL,
        operating_point REAL NOT NULL CHECK (operating_point BETWEEN 0 AND 1),
        sensitivity REAL NOT NULL,
        specificity REAL NOT NULL,
        studies INTEGER NOT NULL,
        initials TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE setting (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        changed_at TEXT NOT NULL,
        changed_by TEXT NOT NULL
    ) STRICT""",
    # A chain: each row's hash covers the hash of the row before (history/audit.py).
    """CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,
        who TEXT NOT NULL,
        event TEXT NOT NULL,
        study INTEGER REFERENCES study(sequence),
        details TEXT NOT NULL,
        previous_sha256 TEXT NOT NULL,
        row_sha256 TEXT NOT NULL
    ) STRICT""",
    # Three letters anywhere in a name or number, in any script; rowid is study.sequence.
    "CREATE VIRTUAL TABLE study_text USING fts5(text, tokenize='trigram')",
)


def m001_tables(connection: sqlite3.Connection) -> None:
    """Make the ledger."""
    for sql in _TABLES:
        connection.execute(sql)


_FOR_THE_WINDOW = (
    # What the lanes page by and the filters look at: derived from the rest by `history.standing` at every change,
    # and for all studies whose `standing` is ''. A study without a score sorts behind all that have one.
    "ALTER TABLE study ADD COLUMN standing TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN by_covid REAL NOT NULL DEFAULT 1",
    "ALTER TABLE study ADD COLUMN by_normal REAL NOT NULL DEFAULT 2",
    "ALTER TABLE study ADD COLUMN by_read INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE study ADD COLUMN model_top TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN model_other TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE study ADD COLUMN one_slice INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE study ADD COLUMN files_received INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE study ADD COLUMN files_refused INTEGER NOT NULL DEFAULT 0",
    # The newest of what the trails say, as read_at and impression are.
    "ALTER TABLE study ADD COLUMN action TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN read_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN note TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN outcome TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN rt_pcr TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE study ADD COLUMN rt_pcr_negative INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE study ADD COLUMN first_opened_at TEXT",
    "ALTER TABLE study ADD COLUMN removed_at TEXT",
    "CREATE INDEX study_by_arrival ON study(standing, received_at, study_instance_uid, by_covid)",
    "CREATE INDEX study_by_covid ON study(by_covid, received_at, study_instance_uid) WHERE standing = 'open'",
    "CREATE INDEX study_by_normal ON study(by_normal, received_at, study_instance_uid) WHERE standing = 'open'",
    "CREATE INDEX study_by_read ON study(by_read, received_at, study_instance_uid) WHERE standing = 'read'",
    # All that a filter looks at, so that it needs no row of the table.
    "CREATE INDEX study_filters ON study(standing, received_at, read_at, state, impression, model_top, model_other,"
    " by_covid, outcome, rt_pcr_negative, doubtful, one_slice, read_by, study_date)",
    "ALTER TABLE verdict ADD COLUMN slices_seen REAL CHECK (slices_seen BETWEEN 0 AND 1)",
    "ALTER TABLE verdict ADD COLUMN map_seen INTEGER CHECK (map_seen IN (0, 1))",
    "ALTER TABLE escalation ADD COLUMN takes_back INTEGER REFERENCES escalation(sequence)",
    "CREATE UNIQUE INDEX escalation_takes_back ON escalation(takes_back) WHERE takes_back IS NOT NULL",
    # Later truth; the keys are those of history/values.py. Taken back by a later row, never removed.
    """CREATE TABLE outcome (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        result INTEGER REFERENCES result(sequence),
        kind TEXT NOT NULL CHECK (kind IN ('', 'rtpcr', 'report', 'follow_up')),
        value TEXT NOT NULL,
        source TEXT NOT NULL,
        dated TEXT NOT NULL,
        note TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES outcome(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX outcome_study ON outcome(study)",
    """CREATE TABLE study_note (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        text TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES study_note(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX study_note_study ON study_note(study)",
    # geometry is JSON of the viewer's.
    """CREATE TABLE measure (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        series_instance_uid TEXT NOT NULL,
        kind TEXT NOT NULL,
        geometry TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES measure(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX measure_study ON measure(study)",
    """CREATE TABLE viewing (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        opened_at TEXT NOT NULL,
        closed_at TEXT,
        initials TEXT NOT NULL,
        slices_seen REAL CHECK (slices_seen BETWEEN 0 AND 1),
        map_on_at TEXT,
        map_before_impression INTEGER CHECK (map_before_impression IN (0, 1))
    ) STRICT""",
    "CREATE INDEX viewing_study ON viewing(study)",
    """CREATE TABLE import_batch (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        label TEXT NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        stopped INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    # study_instance_uid is '' where a file names none; it may name a study that the ledger doesn't know.
    """CREATE TABLE import_file (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        batch INTEGER NOT NULL REFERENCES import_batch(sequence),
        shown TEXT NOT NULL,
        outcome TEXT NOT NULL,
        code TEXT NOT NULL,
        found REAL,
        needed REAL,
        name TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL,
        known INTEGER NOT NULL
    ) STRICT""",
    "CREATE INDEX import_file_batch ON import_file(batch)",
    "CREATE INDEX audit_study ON audit(study)",
)


def m002_for_the_window(connection: sqlite3.Connection) -> None:
    """Add what the lanes page by, outcomes, notes, measures, viewings and the account of every import."""
    for sql in _FOR_THE_WINDOW:
        connection.execute(sql)


_IDENTITIES = (
    # Display only: the name as a person has had it read; '' where it stands as the file gives it.
    "ALTER TABLE study ADD COLUMN name_read_as TEXT NOT NULL DEFAULT ''",
    # The character set is a name of ours (dicom.protocol). Taken back by a later row, never removed.
    """CREATE TABLE name_reading (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        character_set TEXT NOT NULL,
        patient_name TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES name_reading(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX name_reading_study ON name_reading(study)",
    # seen is a JSON list of [patient ID, issuer, name]. Taken back by a later row, never removed.
    """CREATE TABLE identity_choice (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        patient_id TEXT NOT NULL,
        issuer_of_patient_id TEXT NOT NULL,
        patient_name TEXT NOT NULL,
        whole INTEGER NOT NULL CHECK (whole IN (0, 1)),
        seen TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES identity_choice(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX identity_choice_study ON identity_choice(study)",
)


def m003_identities(connection: sqlite3.Connection) -> None:
    """Add which of two identities stands, and how a name is read."""
    for sql in _IDENTITIES:
        connection.execute(sql)


def m004_search_text(connection: sqlite3.Connection) -> None:
    """Take the UID of a study out of the words it is found by: a patient's number stands in many a UID."""
    connection.execute(
        "WITH found AS (SELECT study.sequence AS study, text, lower(study_instance_uid) AS uid,"
        " instr(text, lower(study_instance_uid)) AS place"
        " FROM study_text JOIN study ON study.sequence = study_text.rowid)"
        " UPDATE study_text SET text = (SELECT substr(text, 1, place - 1) || substr(text, place + length(uid))"
        " FROM found WHERE found.study = study_text.rowid)"
        " WHERE rowid IN (SELECT study FROM found WHERE place > 0)"
    )


_VERSIONS_AND_REMOVALS = (
    # Which of several versions of the same images stands: the place by arrival, from 0; NULL: the study is not scored.
    # seen is JSON, for each image all SHA-256 that stood side by side; kept which of them stands.
    """CREATE TABLE version_choice (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        place INTEGER CHECK (place >= 0),
        kept TEXT NOT NULL,
        seen TEXT NOT NULL,
        why TEXT NOT NULL,
        initials TEXT NOT NULL,
        takes_back INTEGER UNIQUE REFERENCES version_choice(sequence),
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX version_choice_study ON version_choice(study)",
    # What becomes of our copies of a study's files, one row a step; the newest counts. `removing` says what is about
    # to be done: without a `removed` after it, it is done at the next start.
    """CREATE TABLE removal (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES study(sequence),
        step TEXT NOT NULL CHECK (step IN ('marked', 'kept', 'removing', 'removed')),
        rule TEXT NOT NULL,
        who TEXT NOT NULL,
        files INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX removal_study ON removal(study)",
)


def m005_versions_and_removals(connection: sqlite3.Connection) -> None:
    """Add which version of an image stands, and what became of our copies by the rules of the site."""
    for sql in _VERSIONS_AND_REMOVALS:
        connection.execute(sql)


_SOURCES = (
    # Copies that are about to stand; a row goes with the transaction that says whose they are. What is left after a
    # crash names the copies that nobody knows of.
    """CREATE TABLE copy_intent (
        sha256 BLOB PRIMARY KEY CHECK (length(sha256) = 32),
        at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID""",
    # Every place where a content was found, while instance.path and refusal.path lead to our copy.
    """CREATE TABLE file_origin (
        sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
        path BLOB NOT NULL,
        source INTEGER NOT NULL REFERENCES source(id),
        shown TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (sha256, path)
    ) STRICT, WITHOUT ROWID""",
    "ALTER TABLE instance ADD COLUMN origin BLOB",
    "ALTER TABLE refusal ADD COLUMN origin BLOB",
    "CREATE INDEX instance_sha256 ON instance(sha256)",
    "CREATE INDEX refusal_sha256 ON refusal(sha256)",
    """CREATE TABLE watched_folder (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB NOT NULL UNIQUE,
        files INTEGER NOT NULL DEFAULT 0,
        last_at TEXT
    ) STRICT""",
    # The manifest: each file of a watched folder by the version that was read; path is below the folder.
    """CREATE TABLE taken (
        folder INTEGER NOT NULL REFERENCES watched_folder(id),
        path BLOB NOT NULL,
        size_bytes INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        file_number TEXT NOT NULL,
        sha256 BLOB,
        code TEXT NOT NULL,
        at TEXT NOT NULL,
        PRIMARY KEY (folder, path)
    ) STRICT, WITHOUT ROWID""",
)


def m006_sources(connection: sqlite3.Connection) -> None:
    """Add where copies were found, which are about to stand, and what each watched folder has given."""
    for sql in _SOURCES:
        connection.execute(sql)


_READER_STUDIES = (
    # Laid down once; design is JSON of app.reader_study_files.
    """CREATE TABLE reader_study (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        design TEXT NOT NULL,
        initials TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    # Everything that happened, in its order; the state of a study is what follows from it.
    """CREATE TABLE reader_study_event (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        study INTEGER NOT NULL REFERENCES reader_study(sequence),
        kind TEXT NOT NULL,
        reader TEXT NOT NULL,
        session INTEGER NOT NULL CHECK (session IN (0, 1, 2)),
        case_code TEXT NOT NULL,
        details TEXT NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX reader_study_event_study ON reader_study_event(study)",
)


def m007_reader_studies(connection: sqlite3.Connection) -> None:
    """Add reader studies."""
    for sql in _READER_STUDIES:
        connection.execute(sql)


_VERIFICATIONS = (
    # A run of the kit over known studies; labels is JSON, Study Instance UID to class. What it gave lies in a history
    # of its own, so that these studies never stand in the clinic's list.
    """CREATE TABLE verification_run (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        folder TEXT NOT NULL,
        pack_sha256 TEXT NOT NULL REFERENCES pack(sha256),
        labels TEXT NOT NULL,
        initials TEXT NOT NULL,
        at TEXT NOT NULL,
        ended_at TEXT
    ) STRICT""",
    "ALTER TABLE site_verification ADD COLUMN run INTEGER REFERENCES verification_run(sequence)",
    "ALTER TABLE site_verification ADD COLUMN name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE site_verification ADD COLUMN why TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE site_verification ADD COLUMN certificate TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE site_verification ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1))",
)


def m008_verifications(connection: sqlite3.Connection) -> None:
    """Add runs over known studies, and who set the operating point of the site, and why."""
    for sql in _VERIFICATIONS:
        connection.execute(sql)


STEPS: tuple[Step, ...] = (
    m001_tables,
    m002_for_the_window,
    m003_identities,
    m004_search_text,
    m005_versions_and_removals,
    m006_sources,
    m007_reader_studies,
    m008_verifications,
)


def version_of(connection: sqlite3.Connection) -> int:
    """Return how many steps the file has taken; 0 is an empty file."""
    return one_number(connection, "PRAGMA user_version")


def is_newer(connection: sqlite3.Connection) -> bool:
    """Whether a newer version of the program has changed the tables: by its number, or a step unknown here."""
    if version_of(connection) > len(STEPS):
        return True
    if not one_number(connection, "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlite_migrations'"):
        return False
    applied = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (SET,))
    return bool({row[0] for row in applied} - {step.__name__ for step in STEPS})


def migrate(connection: sqlite3.Connection) -> None:
    """Take the steps that the file lacks, each with its number in one transaction; the first error ends it.

    Raises:
        sqlite3.Error: a step failed; the steps before it stay.
    """
    # Imported here: it costs 0.2 s, and nearly every start has nothing to migrate.
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(SET)
    for number, step in enumerate(STEPS, start=1):
        migrations(name=step.__name__)(_numbered(step, number))
    migrations.apply(Database(connection, execute_plugins=False))


def _numbered(step: Step, number: int) -> Callable[..., None]:
    def run(database: object) -> None:
        connection: sqlite3.Connection = getattr(database, "conn")  # noqa: B009 - the library has no types
        step(connection)
        connection.execute(f"PRAGMA user_version={number}")

    return run
