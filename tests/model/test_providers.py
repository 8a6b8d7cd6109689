from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.model.pack import KnownAnswer, Tolerance
from aicorona_desktop.model.providers import (
    Choice,
    Machine,
    Proof,
    ProofRecord,
    choose,
    clashing_runtimes,
    installed_version,
    proof_of,
    worker_count,
)

MACHINE = Machine("ab" * 32, "onnxruntime 1.32.0", "driver 1")
LIMITS = Tolerance(features_cosine=0.9999, logit_difference=1e-2)
GOOD_AND_FAST, GOOD_AND_SLOW = Proof(1.0, 1e-4, 0.01), Proof(1.0, 1e-4, 0.5)
CPU = Proof(1.0, 0.0, 0.08)
EVERYTHING = ("cpu", "cuda", "dml")


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


class Machinery:
    """Answers for a machine: what each provider gives on the known slice, and what was asked."""

    def __init__(self, **proofs: Proof | None) -> None:
        self.proofs = {"cpu": CPU, **proofs}
        self.asked: list[str] = []

    def __call__(self, provider: str) -> Proof | None:
        self.asked.append(provider)
        return self.proofs.get(provider)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(tmp_path: Path, clock: Clock) -> ProofRecord:
    return ProofRecord(tmp_path / "providers.json", clock)


def chosen(
    record: ProofRecord,
    machinery: Machinery,
    wish: str = "auto",
    available: tuple[str, ...] = EVERYTHING,
    machine: Machine = MACHINE,
) -> Choice:
    return choose(wish, available, lambda _: LIMITS, machinery, record=record, machine=machine)


def not_used(*names: str) -> tuple[Finding, ...]:
    return tuple(Finding(Outcome.WARNED, Reason.PROVIDER_NOT_USED, name=name) for name in names)


def test_cuda_comes_first_then_directml_then_the_cpu(record: ProofRecord) -> None:
    both = Machinery(cuda=GOOD_AND_FAST, dml=GOOD_AND_FAST)

    assert chosen(record, both) == Choice("cuda")
    assert chosen(record, both, available=("cpu", "dml")) == Choice("dml")
    assert chosen(record, both, available=("cpu",)) == Choice("cpu")


@pytest.mark.parametrize(
    "proof",
    [
        None,
        GOOD_AND_SLOW,
        Proof(0.9998, 1e-4, 0.01),
        Proof(1.0, 2e-2, 0.01),
        Proof(float("nan"), 0.0, 0.01),
        Proof(1.0, float("nan"), 0.01),
    ],
    ids=["fails", "slower", "other features", "other logits", "no features", "no logits"],
)
def test_a_provider_that_fails_differs_or_is_slower_gives_way_to_the_next(
    proof: Proof | None, record: ProofRecord
) -> None:
    choice = chosen(record, Machinery(cuda=proof, dml=GOOD_AND_FAST))

    assert choice == Choice("dml", not_used("cuda"))


def test_where_no_provider_is_good_the_cpu_is_used_and_both_are_named(record: ProofRecord) -> None:
    assert chosen(record, Machinery(cuda=GOOD_AND_SLOW)) == Choice("cpu", not_used("cuda", "dml"))


def test_a_provider_named_by_hand_must_agree_but_may_be_slow(record: ProofRecord) -> None:
    assert chosen(record, Machinery(openvino=GOOD_AND_SLOW), wish="openvino") == Choice("openvino")
    assert chosen(record, Machinery(dml=Proof(0.5, 1.0, 0.01)), wish="dml") == Choice("cpu", not_used("dml"))


def test_the_cpu_by_hand_asks_nothing_of_the_others(record: ProofRecord) -> None:
    machinery = Machinery(cuda=GOOD_AND_FAST)

    assert chosen(record, machinery, wish="cpu") == Choice("cpu")
    assert machinery.asked == []


def test_an_unknown_wish_is_an_error(record: ProofRecord) -> None:
    with pytest.raises(ValueError, match="unknown provider"):
        chosen(record, Machinery(), wish="quantum")


def test_a_proof_lasts_a_week(record: ProofRecord, clock: Clock) -> None:
    machinery = Machinery(cuda=GOOD_AND_FAST)
    chosen(record, machinery)
    asked = list(machinery.asked)

    clock.time += timedelta(days=7)
    assert chosen(record, machinery) == Choice("cuda")
    assert machinery.asked == asked

    clock.time += timedelta(minutes=1)
    assert chosen(record, machinery) == Choice("cuda")
    assert machinery.asked == asked * 2


def test_a_failure_is_remembered_too_and_still_named(record: ProofRecord) -> None:
    machinery = Machinery(cuda=None)
    chosen(record, machinery, available=("cpu", "cuda"))
    machinery.proofs["cuda"] = GOOD_AND_FAST

    assert chosen(record, machinery, available=("cpu", "cuda")) == Choice("cpu", not_used("cuda"))


@pytest.mark.parametrize(
    "change", [{"pack_sha256": "cd" * 32}, {"runtime": "onnxruntime 1.33.0"}, {"device": "driver 2"}]
)
def test_another_pack_runtime_or_driver_asks_for_a_new_proof(change: dict[str, str], record: ProofRecord) -> None:
    machinery = Machinery(cuda=GOOD_AND_FAST)
    chosen(record, machinery)
    asked = len(machinery.asked)

    chosen(record, machinery, machine=dataclasses.replace(MACHINE, **change))

    assert len(machinery.asked) == 2 * asked


def test_a_forgotten_provider_is_proven_anew_and_the_others_are_not(record: ProofRecord) -> None:
    record.remember(MACHINE.key("openvino"), passed=True)
    record.remember(MACHINE.key("openvino-bf16"), passed=True)
    record.remember(MACHINE.key("cuda"), passed=True)

    record.forget("openvino")

    assert record.passed(MACHINE.key("openvino")) is None
    assert record.passed(MACHINE.key("openvino-bf16")) is True
    assert record.passed(MACHINE.key("cuda")) is True


@pytest.mark.parametrize("content", ["", "[1]", '{"cuda-1": 3}', '{"cuda-1": {"passed": true}}', "\x00"])
def test_a_damaged_record_costs_a_proof_and_nothing_else(content: str, record: ProofRecord) -> None:
    record.path.write_text(content, "utf-8")

    assert record.passed("cuda-1") is None
    record.remember("cuda-1", passed=True)
    assert record.passed("cuda-1") is True


def test_a_proof_from_the_future_is_not_believed(record: ProofRecord, clock: Clock) -> None:
    record.remember("cuda-1", passed=True)
    clock.time -= timedelta(days=1)

    assert record.passed("cuda-1") is None


def test_a_record_that_cannot_be_written_is_no_error(tmp_path: Path, clock: Clock) -> None:
    nowhere = ProofRecord(tmp_path / "missing" / "providers.json", clock)

    nowhere.remember("cuda-1", passed=True)

    assert nowhere.passed("cuda-1") is None


def test_a_proof_measures_the_angle_of_the_features_and_the_worst_logit() -> None:
    known = KnownAnswer((1.0, 2.0, 3.0), np.zeros((3, 2, 2), np.float32), np.array([3, 4], np.float32))
    answer = SliceScore(known.cam, np.array([4, 3], np.float32), (1.0, 2.5, 2.9))

    proof = proof_of(answer, known, 0.5)

    assert proof.features_cosine == pytest.approx(24 / 25)
    assert proof.logit_difference == pytest.approx(0.5)
    assert not proof.agrees(LIMITS)
    assert Proof(0.9999, 1e-2, 9).agrees(LIMITS)


def test_two_editions_of_the_runtime_are_complained_about() -> None:
    def installed(*there: str) -> object:
        def distribution(name: str) -> object:
            if name not in there:
                raise metadata.PackageNotFoundError(name)
            return name

        return distribution

    assert clashing_runtimes(installed("onnxruntime")) == ()  # type: ignore[arg-type]
    (finding,) = clashing_runtimes(installed("onnxruntime", "onnxruntime-gpu"))  # type: ignore[arg-type]
    assert finding.reason is Reason.RUNTIMES_CLASH
    assert "onnxruntime, onnxruntime-gpu" in str(finding)


def test_the_version_of_a_package_that_is_not_there_is_empty() -> None:
    assert installed_version("numpy") == np.__version__
    assert installed_version("aicorona-no-such-package") == ""


def test_workers_fit_the_machine() -> None:
    assert 1 <= worker_count() <= 8
    assert worker_count("cuda") == worker_count("dml") == 1
