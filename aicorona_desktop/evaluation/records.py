"""What is kept of one scored scan: enough to say its score under any slice rule, and how long it took.

The head of the network is linear and the sums are exact before they are rounded once (`model.score`), so a score
pooled from a record's slices is the very score that a run with that rule gives, to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aicorona_desktop.core.score import Triple
from aicorona_desktop.evaluation.predictions import Prediction
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.score import Combined, combine
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.score_study import StudyResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One scan, scored or failed; its fields are the keys of a line of the journal.

    `indices` are the positions of the scored slices in the ordered series, `contributions` stand in the same order.
    `reason` and `sentence` say why a scan failed; `warnings` are codes of what was noted of one that did not.
    `ms_load` is what was waited for headers and pixels, `ms_total` from the first file to the score, both wall time;
    `ms_pre` and `ms_net` are preparation and network summed over the scorer's threads, which run beside each other
    and beside the reading: with several of them the sum may exceed `ms_total`.
    """

    name: str  # scan_id, or the Study Instance UID
    status: Literal["ok", "failed"]
    reason: str = ""
    sentence: str = ""
    warnings: tuple[str, ...] = ()
    series_instance_uid: str = ""
    n_slices: int | None = None
    indices: tuple[int, ...] = ()
    contributions: tuple[Triple, ...] = ()
    ms_load: float | None = None
    ms_pre: float | None = None
    ms_net: float | None = None
    ms_total: float
    device: str = ""
    run_at: str

    def pooled(self, pack: Pack, rule: str) -> Combined:
        """Return what the slices of a rule say together.

        Raises:
            ValueError: the scan failed, or a slice that the rule wants was not scored.
        """
        scored = dict(zip(self.indices, self.contributions, strict=True))
        wanted = selected(self.n_slices or 0, rule)
        if not scored.keys() >= set(wanted):
            raise ValueError(f"the slices of {rule} were not all scored")
        return combine(pack, [scored[index] for index in wanted])

    def prediction(self, pack: Pack, rule: str) -> Prediction:
        """Return the row of predictions.csv for a rule; logits are after the pack's temperature (paper-spec 13.3)."""
        ok = self.status == "ok"
        combined = self.pooled(pack, rule) if ok else None
        normal, pneumonia, covid = combined.logits if combined else (0.0, 0.0, 0.0)
        scaled = (normal / pack.temperature, pneumonia / pack.temperature, covid / pack.temperature)
        return Prediction(
            scan_id=self.name,
            model_id=model_id_of(pack),
            model_hash=pack.sha256,
            probabilities=combined.probabilities if combined else None,
            logits=scaled if combined else None,
            n_slices=self.n_slices,
            n_used=len(selected(self.n_slices, rule)) if ok and self.n_slices else None,
            selection=rule,
            ms_load=self.ms_load,
            ms_pre=self.ms_pre,
            ms_net=self.ms_net,
            ms_total=self.ms_total,
            device=self.device,
            run_at=self.run_at,
            status=self.status,
        )


def model_id_of(pack: Pack) -> str:
    """Return what tables call a pack: NAME-VERSION, as its folder is called."""
    return f"{pack.name}-{pack.version}"


def record_of_study(
    name: str, result: StudyResult, *, seconds_headers: float, seconds_total: float, device: str
) -> Record:
    """Return the record of a study that went through `StudyScoring`; without a score it failed, and says why.

    Args:
        name: the record's.
        result: what became of the study.
        seconds_headers: what reading its headers took, before the result's own seconds.
        seconds_total: from the first file to the result.
        device: what runs the model.
    """
    series, score = result.choice.series, result.score
    best = series or next(iter(result.choice.checked), None)
    gravest = result.findings[0] if result.findings else None
    if score is None:
        sentence = str(gravest) if gravest else result.choice.reason
        return failed(name, sentence, seconds_total, reason=gravest.reason.code if gravest else "", device=device)
    return Record(
        name=name,
        status="ok",
        warnings=tuple(finding.reason.code for finding in result.findings),
        series_instance_uid=best.series_instance_uid if best else "",
        n_slices=score.slices_total,
        indices=score.slice_indices,
        contributions=score.slice_contributions,
        ms_load=milliseconds(seconds_headers + result.seconds_read),
        ms_pre=milliseconds(result.seconds_prepare),
        ms_net=milliseconds(result.seconds_network),
        ms_total=milliseconds(seconds_total),
        device=score.provider,
        run_at=utc_text(),
    )


def failed(name: str, sentence: str, seconds_total: float, *, reason: str = "", device: str = "") -> Record:
    """Return the record of a scan that has no score."""
    return Record(
        name=name,
        status="failed",
        reason=reason,
        sentence=sentence,
        ms_total=milliseconds(seconds_total),
        device=device,
        run_at=utc_text(),
    )


def record_object(record: Record) -> dict[str, Any]:
    """Return a record as JSON takes it."""
    return dataclasses.asdict(record)


def record_from(line: Mapping[str, Any]) -> Record:
    """Return the record that a line of a journal holds.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    lists = {name: tuple(line[name]) for name in ("warnings", "indices")}
    triples = tuple((float(normal), float(cp), float(covid)) for normal, cp, covid in line["contributions"])
    return Record(**{**line, **lists, "contributions": triples})


def milliseconds(seconds: float) -> float:
    """Return seconds as milliseconds with three decimals."""
    return round(1000 * seconds, 3)


def utc_text() -> str:
    """Return the present time, UTC, to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()
