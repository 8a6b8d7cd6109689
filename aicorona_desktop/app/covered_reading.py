"""Studies to read without knowing whose they are, what the model said of them, or what anybody else did.

What a reader must not see never reaches the window: the history that the viewer asks gives nothing but pictures'
places, and the reader of files gives headers without identity and no score before it is revealed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from aicorona_desktop.app.viewing import FirstLook, StudyReader, ViewedSeries, ViewedStudy
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.study import Instance, LeftOut, Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import (
    History,
    HistoryError,
    SiteVerification,
    StoredMeasure,
    StoredResult,
)

NOT_HERE = "This is covered in a reader study."


class CoveredHistory:
    """What the viewer may ask of the history during a reading; whatever else it asks for is refused.

    `code` gives the code under which a study is shown, `revealed` whether its score may be.
    """

    def __init__(self, history: History, code: Callable[[str], str], revealed: Callable[[str], bool]) -> None:
        self._history = history
        self._code = code
        self._revealed = revealed

    def row(self, study_instance_uid: str) -> Row | None:
        """Return the row of a study with its code for a name, and nothing that anybody said of it."""
        row = self._history.row(study_instance_uid)
        return None if row is None else covered_row(row, self._code(study_instance_uid))

    def search(self, text: str, limit: int = 200) -> tuple[Row, ...]:  # noqa: ARG002 - the history's signature
        """Return nothing: earlier studies of the patient may name the answer."""
        return ()

    def measures(self, study_instance_uid: str) -> tuple[StoredMeasure, ...]:  # noqa: ARG002 - see above
        """Return nothing: measures point at what others saw."""
        return ()

    def left_out(self, study_instance_uid: str) -> tuple[LeftOut, ...]:  # noqa: ARG002 - see above
        """Return nothing: names of files are often names of patients."""
        return ()

    def result(self, study_instance_uid: str) -> StoredResult | None:
        """Return the score that stands, once it is revealed."""
        return self._history.result(study_instance_uid) if self._revealed(study_instance_uid) else None

    def results(self, study_instance_uid: str) -> tuple[StoredResult, ...]:  # noqa: ARG002 - see above
        """Return nothing: earlier scores are not part of a study."""
        return ()

    def site_verification(self, pack_sha256: str) -> SiteVerification | None:  # noqa: ARG002 - see above
        """Return nothing."""
        return None

    def __getattr__(self, name: str) -> object:
        raise HistoryError(NOT_HERE)


class CoveredReader(StudyReader):
    """Reads studies for a reading: the series that was scored first, as in the viewer, without saying so."""

    def __init__(
        self,
        history: History,
        code: Callable[[str], str],
        *,
        aided: bool,
        make_reader: Callable[[], Reader] = Reader,
        volumes: VolumeCache | None = None,
    ) -> None:
        """`history` is the whole one: it says where the files lie and which series comes first.

        In an aided session it is told from the start which slices the model was given; what it said of them is not.
        """
        super().__init__(make_reader, volumes)
        self._aided = aided
        self._history = history
        self._code = code
        self._revealed: frozenset[str] = frozenset()
        self._changing = threading.Lock()

    def reveal(self, study_instance_uid: str) -> None:
        """Give the score of a study with what is read of it from now on."""
        with self._changing:
            self._revealed |= {study_instance_uid}

    def cover(self, study_instance_uid: str) -> None:
        """Give no score of a study any more."""
        with self._changing:
            self._revealed -= {study_instance_uid}

    def is_revealed(self, study_instance_uid: str) -> bool:
        """Whether the score of a study may be seen."""
        return study_instance_uid in self._revealed

    def first_look(self, history: History, study_instance_uid: str) -> FirstLook | None:  # noqa: ARG002
        """Return the middle of the scored half, as the viewer opens every study."""
        first = super().first_look(self._history, study_instance_uid)
        if first is None:
            return None
        instance = covered_instance(first.instance, self._code(study_instance_uid))
        return replace(first, instance=instance, used=first.used if self._aided else ())

    def open(
        self,
        history: History,  # noqa: ARG002 - the covered one knows too little
        study_instance_uid: str,
        stop: Callable[[], bool] = lambda: False,
    ) -> ViewedStudy:
        """Read a study as the viewer does, and cover it."""
        viewed = super().open(self._history, study_instance_uid, stop)
        code, revealed = self._code(study_instance_uid), self.is_revealed(study_instance_uid)
        return covered_study(viewed, code, aided=self._aided, revealed=revealed)


def covered_study(viewed: ViewedStudy, code: str, *, aided: bool, revealed: bool) -> ViewedStudy:
    """Return a study without identity and files left out; what was scored only if aided, the score if revealed."""
    series = tuple(_covered_series(one, code, aided=aided) for one in viewed.series)
    study = Study(viewed.study_instance_uid, tuple(one.series for one in series))
    return ViewedStudy(viewed.study_instance_uid, study, series, (), viewed.result if revealed else None)


def _covered_series(viewed: ViewedSeries, code: str, *, aided: bool) -> ViewedSeries:
    series = viewed.series
    instances = tuple(covered_instance(one, code) for one in viewed.instances)
    covered = Series(
        series.series_instance_uid,
        tuple(covered_instance(one, code) for one in series.instances),
        findings=series.findings,
        series_number=series.series_number,
    )
    used = viewed.used if aided else ()
    return replace(viewed, series=covered, instances=instances, used=used, scored=viewed.scored and aided)


def covered_instance(instance: Instance, code: str) -> Instance:
    """Return a slice whose header names nobody; its file stays, for pixels are read from it."""
    return Instance(instance.file, covered_header(instance.header, code))


def covered_header(header: Header, code: str) -> Header:
    """Return a header with a code in place of the patient, and without what people wrote, where and when."""
    return replace(
        header,
        patient_id="",
        issuer_of_patient_id="",
        patient_name=code,
        patient_birth_date="",
        study_date="",
        study_time="",
        study_description="",
        study_id="",
        accession_number="",
        institution_name="",
        series_time="",
        series_description="",
        protocol_name="",
        derivation_description="",
    )


def covered_row(row: Row, code: str) -> Row:
    """Return a row with a code for a name; of the rest only what the picture itself shows."""
    return Row(
        row.study_instance_uid,
        row.received_at,
        State.DONE,
        series_instance_uid=row.series_instance_uid,
        patient_name=code,
        patient_sex=row.patient_sex,
        patient_age_years=row.patient_age_years,
    )
