"""What the statistics of an evaluation cost: `python tests/benchmarks/bench_evaluation.py [PREDICTIONS] [ROUNDS]`.

Made-up predictions, two scans a subject. Prints the seconds of one run each: the rounds alone, the AUC by subject, all
figures by subject (the target: 10,000 predictions with 2,000 rounds under 20 s on two cores), DeLong, and one row of a
table with all its intervals.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aicorona_desktop.evaluation.assessment import assess
from aicorona_desktop.evaluation.bootstrap import bootstrap, of_scores, weights_of_rounds
from aicorona_desktop.evaluation.curves import roc_band
from aicorona_desktop.evaluation.delong import auc_interval
from aicorona_desktop.evaluation.metrics import Counts
from aicorona_desktop.evaluation.summary import summary


def measure(what: str, work: Callable[[], object]) -> None:
    started = time.perf_counter()
    work()
    print(f"{what:<60}{time.perf_counter() - started:8.3f} s")


def _peer(scores: np.ndarray, truth: np.ndarray, rounds: int) -> None:
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError:
        return
    random = np.random.default_rng(0)
    for _ in range(rounds):
        roc_auc_score(truth, scores, sample_weight=random.multinomial(len(truth), np.full(len(truth), 1 / len(truth))))


def main(predictions: int, rounds: int) -> None:
    random = np.random.default_rng(0)
    subjects = (np.arange(predictions) // 2).tolist()
    truth = np.repeat(random.random((predictions + 1) // 2) < 0.3, 2)[:predictions]
    scores = random.normal(size=predictions) + 2 * truth
    strata = truth.tolist()
    print(f"{predictions} predictions, {len(set(subjects))} subjects, {rounds} rounds")
    summary(Counts(1, 1, 1, 1))  # what is made once a process
    measure("rounds alone", lambda: [None for _ in weights_of_rounds(subjects, strata, rounds)])
    measure("AUC by subject", lambda: bootstrap(of_scores(scores, truth), subjects, strata, rounds=rounds))
    measure("the same AUC, a twentieth of the rounds, by scikit-learn", lambda: _peer(scores, truth, rounds // 20))
    measure("AUC and six figures by subject", lambda: assess(scores, truth, 1.0, subjects, rounds=rounds))
    measure("the band around the ROC, by subject", lambda: roc_band(scores, truth, subjects, rounds=rounds))
    measure("AUC with DeLong's interval", lambda: auc_interval(scores, truth))
    measure("13 figures of a table, with intervals", lambda: summary(Counts(139, 4, 8, 244)))
    measure("4 of them", lambda: summary(Counts(110, 9, 4, 234), only=("sensitivity", "specificity", "f1", "kappa")))


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:]]
    main(*given, *(10_000, 2_000)[len(given) :])
