"""Train, tune and test by subject: no person is in two of them, every class and source is in each by its share.

Source: paper-spec 1.3 (the paper splits at random; by subject, stratified and seeded are ours).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import ManifestRow, Split

PAPER_SHARES: Mapping[Split, float] = {Split.TRAIN: 0.78, Split.TUNE: 0.09, Split.TEST: 0.13}
"""Near those of the paper's two development cohorts together (3587, 398 and 598 subjects of 4583)."""

_GRAVITY = ("covid", "cp", "nca", "normal", "non_pneumonia")  # of a subject with several labels, the first counts


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Which subject is in which split, and how that came about: all that is needed to do it again."""

    seed: int
    shares: Mapping[Split, float]
    subjects: Mapping[str, Split]


def plan_splits(rows: Iterable[ManifestRow], seed: int, shares: Mapping[Split, float] | None = None) -> SplitPlan:
    """Draw a split for every subject with a scan that isn't excluded or external.

    Within each stratum (origin and label of the subject) subjects are shuffled and dealt out by largest remainder.
    The answer depends on the subjects and the seed, not on the order of the rows.

    Args:
        rows: of a manifest; the splits that they have are not looked at, apart from excluded and external.
        seed: of the random numbers.
        shares: of train, tune and test; they add up to one. None: those of the paper.

    Raises:
        EvaluationError: the shares don't add up to one.
    """
    wanted = dict(PAPER_SHARES if shares is None else shares)
    if abs(sum(wanted.values()) - 1) > 1e-9 or min(wanted.values()) < 0:
        raise EvaluationError("The shares of the splits must add up to one.")
    strata: dict[tuple[str, str], list[str]] = defaultdict(list)
    for subject, stratum in _strata(rows).items():
        strata[stratum].append(subject)
    generator = np.random.default_rng(seed)
    drawn: dict[str, Split] = {}
    for stratum in sorted(strata):
        subjects = sorted(strata[stratum])
        order = [subjects[place] for place in generator.permutation(len(subjects))]
        drawn |= zip(order, _dealt(len(order), wanted), strict=True)
    return SplitPlan(seed, wanted, dict(sorted(drawn.items())))


def apply_splits(rows: Iterable[ManifestRow], plan: SplitPlan) -> tuple[ManifestRow, ...]:
    """Return the rows with the splits of a plan; excluded and external ones stay what they are.

    Raises:
        EvaluationError: a subject is not in the plan.
    """
    return tuple(row if _is_settled(row) else replace(row, split=_planned(row, plan)) for row in rows)


def subjects_in_two_splits(rows: Iterable[ManifestRow]) -> tuple[str, ...]:
    """Return the subjects who stand in more than one split (excluded scans don't count); nobody should."""
    splits: dict[str, set[Split]] = defaultdict(set)
    for row in rows:
        if row.split is not Split.EXCLUDED:
            splits[row.subject_id].add(row.split)
    return tuple(sorted(subject for subject, those in splits.items() if len(those) > 1))


def write_plan(path: Path, plan: SplitPlan) -> None:
    """Keep a plan as JSON.

    Raises:
        EvaluationError: it could not be written.
    """
    told = {
        "seed": plan.seed,
        "shares": {split.value: share for split, share in plan.shares.items()},
        "subjects": {subject: split.value for subject, split in plan.subjects.items()},
    }
    try:
        write_file(path, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise EvaluationError("The splits could not be written; is the disk full or the folder closed?") from error


def read_plan(path: Path) -> SplitPlan:
    """Read a plan that `write_plan` wrote.

    Raises:
        EvaluationError: it can't be read, names a subject twice, or is no plan.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_twice)
        shares = {Split(name): float(share) for name, share in told["shares"].items()}
        subjects = {str(subject): Split(name) for subject, name in told["subjects"].items()}
        return SplitPlan(int(told["seed"]), shares, subjects)
    except OSError as error:
        raise EvaluationError("The file of the splits could not be read; is the name right?") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError("The file of the splits holds no splits, or a subject twice.") from error


def _is_settled(row: ManifestRow) -> bool:
    return row.split in (Split.EXCLUDED, Split.EXTERNAL)


def _planned(row: ManifestRow, plan: SplitPlan) -> Split:
    if row.subject_id not in plan.subjects:
        raise EvaluationError(f"The subject of the scan {row.scan_id} is not in the stored splits; split anew.")
    return plan.subjects[row.subject_id]


def _strata(rows: Iterable[ManifestRow]) -> dict[str, tuple[str, str]]:
    """The stratum of each subject: where it comes from, and its gravest label."""
    found: dict[str, set[tuple[int, str]]] = defaultdict(set)
    for row in rows:
        if not _is_settled(row):
            found[row.subject_id].add((_GRAVITY.index(row.label_raw), row.origin))
    return {subject: (min(those)[1], _GRAVITY[min(those)[0]]) for subject, those in found.items()}


def _dealt(count: int, shares: Mapping[Split, float]) -> Sequence[Split]:
    """Return so many splits by their shares: what is over after rounding down goes to the largest remainders."""
    exact = {split: share * count for split, share in shares.items()}
    given = {split: int(number + 1e-9) for split, number in exact.items()}
    by_remainder = sorted(shares, key=lambda split: given[split] - exact[split])
    for split in by_remainder[: count - sum(given.values())]:
        given[split] += 1
    return [split for split, number in given.items() for _ in range(number)]


def _without_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)
