from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import confusion_matrix, roc_auc_score

from aicorona_desktop.app.certificate import Setting, interval_of, verification_of
from aicorona_desktop.app.verification_result import SiteResult, counts_at, judge, offered_points, read_result
from aicorona_desktop.app.verification_run import RunPlace
from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.evaluation.delong import auc_interval
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.operating_points import DEFAULT, Rule
from aicorona_desktop.history.store import History
from tests.app.site_study import known_run
from tests.history import made_up
from tests.ui.panel_parts import a_pack


def drawn(count: int = 25, seed: int = 1) -> list[tuple[str, float]]:
    rng = np.random.default_rng(seed)
    rows = [("covid", float(p)) for p in rng.beta(4, 2, count)]
    rows += [("cp" if place % 2 else "normal", float(p)) for place, p in enumerate(rng.beta(2, 5, count))]
    return rows


def result_of(folder: Path, scores: list[tuple[str, float]], **more: object) -> SiteResult:
    with History.open(folder / "history.sqlite", clock=made_up.Clock()) as clinic:
        number = known_run(clinic, a_pack(), scores, **more)  # type: ignore[arg-type]
        run = clinic.newest_verification_run()
        assert run is not None
        assert run.ended_at is not None
        with History.open(RunPlace(clinic.path, number).ledger, read_only=True) as ledger:
            return read_result(ledger, run.labels)


def test_the_figures_are_those_of_the_library(tmp_path: Path) -> None:
    result = result_of(tmp_path, drawn())

    judged = judge(result, 0.5, 0.1)

    assert judged.assessment.interval("auc").value == pytest.approx(roc_auc_score(result.truth, result.scores))
    assert judged.assessment.interval("auc") == auc_interval(result.scores, result.truth)
    counts = judged.counts
    se = judged.assessment.interval("sensitivity")
    caught = stats.beta(counts.true_positives + 0.5, counts.false_negatives + 0.5)
    assert (se.low, se.high) == pytest.approx((caught.ppf(0.025), caught.ppf(0.975)))
    assert counts == counts_at(result, 0.5)
    sp = judged.assessment.interval("specificity").value
    assert judged.predictive[0].value == pytest.approx(se.value * 0.1 / (se.value * 0.1 + (1 - sp) * 0.9))
    said = ["covid" if p >= 0.5 else "cp" for p in result.scores]  # of the others cp is the greater one
    table = confusion_matrix([case.label for case in result.scored], said, labels=CLASSES)
    assert judged.table.tolist() == table.tolist()


def test_errors_and_failures_are_named_and_the_worst_case_counts_failures_as_wrong(tmp_path: Path) -> None:
    scores = [("covid", 0.9), ("covid", 0.2), ("normal", 0.1), ("cp", 0.7)]
    result = result_of(tmp_path, scores, failed=("covid", "normal"))

    judged = judge(result, 0.5, 0.1)

    assert [case.study_instance_uid for case in judged.missed] == ["7.1"]
    assert [case.study_instance_uid for case in judged.false_alarms] == ["7.3"]
    assert len(result.failures) == 2
    assert all(case.sentence for case in result.failures)
    assert (judged.worst_case.false_negatives, judged.worst_case.false_positives) == (2, 2)
    groups = {(group.split_by, group.group): group.rows for group in judged.groups}
    assert groups["scanner", "ACME"] == 4


def test_with_several_studies_a_patient_the_intervals_are_by_patient(tmp_path: Path) -> None:
    judged = judge(result_of(tmp_path, drawn(12), same_patient=2), 0.5, 0.1)

    assert judged.assessment.interval("auc").method == "bootstrap by subject"


def test_rules_without_enough_studies_give_no_point_and_say_how_many_are_needed(tmp_path: Path) -> None:
    result = result_of(tmp_path, drawn(12))

    offered = {one.rule: one for one in offered_points(result, DEFAULT)}

    assert offered[Rule.A].why_not == "not set: n too small, 12 with COVID-19 and 12 others; it needs 10 and 20"
    assert offered[Rule.C].point is not None


def test_a_run_of_one_kind_has_no_figures(tmp_path: Path) -> None:
    result = result_of(tmp_path, [("covid", 0.5), ("covid", 0.6)])

    assert not result.has_both
    with pytest.raises(EvaluationError, match="COVID-19 and others"):
        judge(result, 0.5, 0.1)


def test_the_certificate_keeps_what_the_page_says(tmp_path: Path) -> None:
    result, pack = result_of(tmp_path, drawn(), failed=("cp",)), a_pack()
    judged = judge(result, 0.4, 0.1)

    own = verification_of(
        Setting("Ada Byron", "AB", "Triage", "C", 0.1), judged, result, pack=pack, run=1, at=made_up.NOW
    )

    assert (own.device, own.studies, own.name, own.operating_point) == ("cpu", 50, "Ada Byron", 0.4)
    auc = interval_of(own.certificate, "auc")
    assert auc == judged.assessment.interval("auc")
    assert ["few", 25, 25] in own.certificate["limits"]
    assert ["failed", 1, 51] in own.certificate["limits"]
    with History.open(tmp_path / "history.sqlite", clock=made_up.Clock()) as history:
        history.record_site_verification(own)
        assert history.site_verification(pack.sha256) == own
