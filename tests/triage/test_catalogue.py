"""What is known of studies grows file by file; what stood at a place is let go of when something else stands there."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.reading import Batch, NoInstance
from tests.dicom.phantom_series import HEADER

ROOT = Path("/in")


def file(name: str, content: str = "") -> FileRef:
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    return FileRef(ROOT / name, name, 3, 0, digest, str(ROOT))


def image(name: str, study: str, series: str = "1", uid: str = "") -> Instance:
    header = replace(
        HEADER, study_instance_uid=study, series_instance_uid=series, sop_instance_uid=uid or f"9.{ord(name)}"
    )
    return Instance(file(name), header)


def refused(name: str, study: str = "") -> NoInstance:
    finding = Finding(Outcome.REFUSED, Reason.TRUNCATED)
    return NoInstance(str(ROOT), name, finding, ROOT / name, file(name), study_instance_uid=study)


def test_only_the_studies_touched_are_told_and_only_those_asked_for_are_given() -> None:
    catalogue = Catalogue()

    first = catalogue.add(Batch([image("a", "1.1"), image("b", "1.2", "2")]))
    second = catalogue.add(Batch([image("c", "1.2", "2")], [refused("d", "1.3"), refused("e")]))

    assert (first, second) == ({"1.1", "1.2"}, {"1.2", "1.3"})
    assert [study.study_instance_uid for study in catalogue.studies(["1.2", "1.9"])] == ["1.2"]
    assert [other.shown for other in catalogue.without_study()] == ["e"]


def test_a_series_that_turns_up_in_a_second_study_is_noticed_whichever_of_them_is_asked_for() -> None:
    catalogue = Catalogue()
    catalogue.add(Batch([image("a", "1.1", "7")]))
    catalogue.add(Batch([image("b", "1.2", "7")]))

    for uid in ("1.1", "1.2"):
        (study,) = catalogue.studies([uid])
        assert Reason.SERIES_IN_TWO_STUDIES in {finding.reason for finding in study.findings}


def test_a_file_that_was_refused_and_is_whole_by_now_is_counted_once() -> None:
    catalogue = Catalogue()
    catalogue.add(Batch([image("a", "1.1")], [refused("b", "1.1"), refused("c")]))

    catalogue.add(Batch([image("b", "1.1"), image("c", "1.1")]))

    (study,) = catalogue.studies(["1.1"])
    assert study.left_out == ()
    assert len(study.series[0].instances) + len(study.series[0].left_out) == 3
    assert catalogue.without_study() == ()


def test_a_file_that_belongs_to_another_study_by_now_has_left_the_first() -> None:
    catalogue = Catalogue()
    catalogue.add(Batch([image("a", "1.1"), image("b", "1.1")]))

    catalogue.add(Batch([image("b", "1.2", "2")]))

    (study,) = catalogue.studies(["1.1"])
    files = [one.file.shown for series in study.series for one in (*series.instances, *series.left_out)]
    assert files == ["a"]


def test_what_is_forgotten_is_gone_and_may_come_again() -> None:
    catalogue = Catalogue()
    batch = Batch([image("a", "1.1")], [refused("b", "1.1"), refused("c")])
    catalogue.add(batch)

    catalogue.forget("1.1")
    catalogue.forget_nameless()

    assert not catalogue.knows("1.1")
    assert catalogue.studies(["1.1"]) == catalogue.without_study() == ()
    catalogue.add(batch)
    assert catalogue.knows("1.1")


def test_an_import_that_was_stopped_is_a_warning_until_one_comes_to_its_end() -> None:
    catalogue = Catalogue()
    catalogue.add(Batch([image("a", "1.1")]))

    catalogue.note_stop(["1.1"], stopped=True)
    (stopped,) = catalogue.studies(["1.1"])
    catalogue.note_stop(["1.1"], stopped=False)
    (whole,) = catalogue.studies(["1.1"])

    assert Finding(Outcome.WARNED, Reason.IMPORT_STOPPED) in stopped.findings
    assert Reason.IMPORT_STOPPED not in {finding.reason for finding in whole.findings}
