from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.model.client import Scorer, ScorerError
from aicorona_desktop.model.pack import Pack, PackError, default_pack
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.providers import ProofRecord
from aicorona_desktop.model.score import combine, contribution_of
from tests.model.tiny_pack import bright, chest, tiny_pack


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return tiny_pack(tmp_path / "tiny")


@pytest.fixture
def record(tmp_path: Path) -> ProofRecord:
    return ProofRecord(tmp_path / "providers.json")


def on_cpu(pack: Pack, record: ProofRecord, workers: int = 2, patience_s: float = 30.0) -> Scorer:
    return Scorer(pack, "cpu", workers, record=record, patience_s=patience_s)


def answers_of(scorer: Scorer) -> Iterator[tuple[int, SliceScore]]:
    while (answer := scorer.next()) is not None:
        yield answer


def scored(scorer: Scorer, slices: Iterable[np.ndarray]) -> dict[int, SliceScore]:
    """Submit as there is room and collect, as a study does."""
    scores: dict[int, SliceScore] = {}
    for ticket, hounsfield in enumerate(slices):
        while not scorer.room and (answer := scorer.next()) is not None:
            scores[answer[0]] = answer[1]
        scorer.submit(ticket, hounsfield)
    return scores | dict(answers_of(scorer))


# --- what comes back -------------------------------------------------------------------------------------------------


def test_every_slice_comes_back_once_with_its_ticket(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record) as scorer:
        for number in range(20):
            scorer.submit(number, chest(number))

        answers = list(answers_of(scorer))

        assert sorted(ticket for ticket, _ in answers) == list(range(20))
        assert scorer.next() is None
        assert (scorer.provider, scorer.notes, scorer.machine_notes) == ("cpu", (), ())


def test_the_answer_is_what_the_network_gives_for_the_prepared_slice(pack: Pack, record: ProofRecord) -> None:
    # given: a toy whose maps are 32x32 means times a weight
    hounsfield = chest(3)
    blocks = prepare(hounsfield, "window-1", 64)[0].reshape(2, 32, 2, 32).mean(axis=(1, 3))

    with on_cpu(pack, record) as scorer:
        scorer.submit(5, hounsfield)
        answer = scorer.next()

    assert answer is not None
    ticket, score = answer
    assert ticket == 5
    np.testing.assert_allclose(score.cam[0], 0.02 * blocks, rtol=1e-5)
    np.testing.assert_allclose(score.contribution, contribution_of(score.cam), rtol=0)
    assert score.features.shape == (1536,)


def test_a_picture_is_scored_without_hounsfield_units(pack: Pack, record: ProofRecord) -> None:
    grey = np.clip((chest(1).astype(float) + 1000) / 5, 0, 255).astype(np.uint8)

    with on_cpu(pack, record) as scorer:
        for ticket, picture in enumerate((grey, grey.astype(np.uint16) * 257, grey.astype(np.float32))):
            scorer.submit_picture(ticket, picture)
        scores = dict(answers_of(scorer))

    np.testing.assert_allclose(scores[0].cam, scores[1].cam, rtol=1e-5)
    np.testing.assert_allclose(scores[0].cam, scores[2].cam, rtol=1e-5)


def test_the_number_of_workers_and_the_order_change_no_bit(pack: Pack, record: ProofRecord) -> None:
    slices = [chest(number) for number in range(12)]

    with on_cpu(pack, record, workers=1) as one, on_cpu(pack, record, workers=3) as three:
        alone, together = scored(one, slices), scored(three, reversed(slices))

    for ticket in range(12):
        assert alone[ticket].cam.tobytes() == together[11 - ticket].cam.tobytes()
        assert alone[ticket].features.tobytes() == together[11 - ticket].features.tobytes()


# --- manners ---------------------------------------------------------------------------------------------------------


def test_making_a_scorer_and_submitting_do_not_wait_for_the_process(pack: Pack, record: ProofRecord) -> None:
    # given: time spent in the calling thread, wall clock
    started = time.monotonic()

    scorer = on_cpu(pack, record)
    scorer.submit(0, chest(0))
    assert scorer.next(0) is None
    waited = time.monotonic() - started

    # then: the start itself takes longer than all of that
    with scorer:
        assert scorer.wait_until_ready(30)
        assert time.monotonic() - started > waited
        assert scorer.next() is not None


def test_there_is_room_for_two_slices_a_worker(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record, workers=2) as scorer:
        room = []
        for number in range(5):
            room.append(scorer.room)
            scorer.submit(number, chest(number))

        assert room == [True, True, True, True, False]
        assert len(list(answers_of(scorer))) == 5
        assert scorer.room


def test_cancelled_slices_never_answer_and_the_scorer_goes_on(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record) as scorer:
        scorer.wait_until_ready()
        for number in range(40):
            scorer.submit(number, chest(number))

        scorer.cancel()

        assert scorer.next() is None
        scorer.submit(100, chest(1))
        assert [ticket for ticket, _ in answers_of(scorer)] == [100]


def test_waiting_ends_with_the_time_when_nothing_answers(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record) as scorer:
        scorer.wait_until_ready()
        os.kill(scorer.pid or 0, signal.SIGSTOP)
        scorer.submit(0, chest(0))

        assert scorer.next(0.1) is None
        os.kill(scorer.pid or 0, signal.SIGCONT)
        assert scorer.next() is not None


def test_closing_ends_the_process_even_in_mid_study(pack: Pack, record: ProofRecord) -> None:
    scorer = on_cpu(pack, record)
    scorer.wait_until_ready()
    pid = scorer.pid or 0
    for number in range(10):
        scorer.submit(number, chest(number))

    scorer.close()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_the_scorer_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    # given: a program with a scorer, ended without a chance to tidy up
    root = Path(__file__).resolve().parents[2]
    program = (
        f"import sys, time; sys.path.insert(0, {str(root)!r})\n"
        "from pathlib import Path; from tests.model.tiny_pack import tiny_pack\n"
        "from aicorona_desktop.model.client import Scorer; from aicorona_desktop.model.providers import ProofRecord\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "scorer = Scorer(tiny_pack(folder / 'tiny'), 'cpu', 1, record=ProofRecord(folder / 'r.json'))\n"
        "scorer.wait_until_ready(); print(scorer.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())

        parent.kill()
        parent.wait()

    assert _ended_within(pid, 5.0)


def test_what_a_library_prints_does_not_reach_the_answers() -> None:
    # given: a program that has taken standard output for its answers as the scorer does, and prints all the same
    program = (
        f"import os, sys; sys.path[:] = {sys.path!r}\n"
        "from aicorona_desktop.model.scorer.__main__ import _own_standard_output\n"
        "answers = _own_standard_output()\n"
        "print('from python', flush=True); os.write(1, b'from a library')\n"
        "answers.write(b'answer'); answers.flush()"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert ended.stdout == b"answer"
    assert b"from python" in ended.stderr
    assert b"from a library" in ended.stderr


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_process_killed_in_mid_study_is_replaced_and_nothing_is_lost(pack: Pack, record: ProofRecord) -> None:
    slices = [chest(number) for number in range(12)]
    with on_cpu(pack, record) as scorer:
        whole = scored(scorer, slices)
        first = scorer.pid
        for ticket, hounsfield in enumerate(slices):
            scorer.submit(ticket, hounsfield)
        before = [scorer.next() for _ in range(3)]

        os.kill(first or 0, signal.SIGKILL)
        after = list(answers_of(scorer))

        answers = dict(answer for answer in (*before, *after) if answer is not None)
        assert scorer.pid != first
        assert sorted(answers) == list(range(12))
        assert all(answers[ticket].cam.tobytes() == whole[ticket].cam.tobytes() for ticket in answers)


def test_a_process_that_hangs_is_replaced_when_patience_ends(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record, patience_s=0.3) as scorer:
        scorer.wait_until_ready()
        first = scorer.pid
        os.kill(first or 0, signal.SIGSTOP)
        scorer.submit(1, chest(1))

        answer = scorer.next()

        assert answer is not None
        assert answer[0] == 1
        assert scorer.pid != first


@pytest.mark.parametrize("temper", ["nan", "failing"])
def test_a_slice_that_always_fails_ends_in_an_error_and_the_next_ones_are_scored(
    temper: str, tmp_path: Path, record: ProofRecord
) -> None:
    bad_pack = tiny_pack(tmp_path / "bad", temper=temper)
    with on_cpu(bad_pack, record) as scorer:
        scorer.submit(1, bright())

        with pytest.raises(ScorerError):
            scorer.next()

        assert scorer.next() is None
        scorer.submit(2, chest(2))
        assert [ticket for ticket, _ in answers_of(scorer)] == [2]


def test_a_slice_that_fails_once_is_forgiven(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record, workers=1) as scorer:
        for ticket in range(6):  # twice the number of times that one slice may lose its process
            scorer.submit(ticket, chest(ticket))
            scorer.wait_until_ready()
            os.kill(scorer.pid or 0, signal.SIGKILL)

            assert scorer.next() is not None


def test_another_provider_that_fails_is_left_and_the_study_finished_on_the_cpu(pack: Pack, record: ProofRecord) -> None:
    pytest.importorskip("openvino")
    slices = [chest(number) for number in range(8)]
    with Scorer(pack, "openvino", 2, record=record) as scorer:
        scorer.wait_until_ready()
        assert scorer.provider == "openvino"
        for ticket, hounsfield in enumerate(slices):
            scorer.submit(ticket, hounsfield)

        os.kill(scorer.pid or 0, signal.SIGKILL)
        tickets = sorted(ticket for ticket, _ in answers_of(scorer))

        assert tickets == list(range(8))
        assert scorer.provider == "cpu"
        assert scorer.notes == (Finding(Outcome.WARNED, Reason.PROVIDER_LEFT, name="openvino"),)
        assert record.path.read_text("utf-8") == "{}"  # it is proven anew before it is used again


def test_a_provider_that_this_machine_lacks_is_reported_and_not_used(pack: Pack, record: ProofRecord) -> None:
    with Scorer(pack, "cuda", 1, record=record) as scorer:
        scorer.submit(0, chest(0))

        assert scorer.next() is not None
        assert scorer.provider == "cpu"
        assert scorer.machine_notes == (Finding(Outcome.WARNED, Reason.PROVIDER_NOT_USED, name="cuda"),)
        assert scorer.notes == ()


def test_a_cpu_that_answers_the_known_slice_differently_scores_nothing(pack: Pack, record: ProofRecord) -> None:
    strange = replace(pack, known_answer=replace(pack.known_answer, contribution=(0.0, 0.0, 5.0)))
    with on_cpu(strange, record) as scorer:
        scorer.submit(0, chest(0))

        with pytest.raises(ScorerError):
            scorer.next()


def test_damaged_weights_are_not_loaded(pack: Pack, record: ProofRecord) -> None:
    (pack.folder / "model.onnx").write_bytes(b"x")
    with on_cpu(pack, record) as scorer:
        scorer.submit(0, chest(0))

        with pytest.raises(PackError):
            scorer.next()


def test_what_is_no_slice_is_refused_at_once(pack: Pack, record: ProofRecord) -> None:
    with on_cpu(pack, record) as scorer:
        with pytest.raises(ValueError, match="2-D int16"):
            scorer.submit(0, np.zeros((4, 4, 3), np.int16))
        with pytest.raises(ValueError, match="finite"):
            scorer.submit_picture(0, np.full((4, 4), np.inf))
        with pytest.raises(ValueError, match="too large"):
            scorer.submit_picture(0, np.zeros((3000, 3000)))
        with pytest.raises(ValueError, match="unknown provider"):
            Scorer(pack, "tpu", record=record)

        assert scorer.next() is None


# --- the pack that ships ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> Pack:
    try:
        return default_pack()
    except AicoronaError as error:
        pytest.skip(f"no pack in this checkout: {error}")


@pytest.fixture(scope="module")
def shipped_scores(shipped: Pack, tmp_path_factory: pytest.TempPathFactory) -> dict[int, SliceScore]:
    with on_cpu(shipped, ProofRecord(tmp_path_factory.mktemp("record") / "r.json")) as scorer:
        return scored(scorer, [chest(number, 256) for number in range(6)])


def test_the_mean_of_the_maps_is_the_head_on_the_mean_of_the_features(
    shipped: Pack, shipped_scores: dict[int, SliceScore]
) -> None:
    # given: the class weights, found from features and contributions of some slices: the head is linear
    onnx = pytest.importorskip("onnx")
    weights = _head_weights(onnx.load_model_from_string(shipped.model_bytes()))

    for score in shipped_scores.values():
        logits = weights @ score.features.astype(np.float64)

        np.testing.assert_allclose(score.contribution, logits, atol=1e-4)


def test_the_shipped_pack_s_score_depends_on_neither_order_nor_repetition_nor_subset_bookkeeping(
    shipped: Pack, shipped_scores: dict[int, SliceScore]
) -> None:
    contributions = [shipped_scores[ticket].contribution for ticket in range(6)]
    logits = combine(shipped, contributions).logits

    assert all(
        combine(shipped, list(order)).logits == logits
        for order in itertools.islice(itertools.permutations(contributions), 50)
    )
    assert combine(shipped, contributions * 3).logits == pytest.approx(logits, abs=1e-12)
    halves = [combine(shipped, half).logits for half in (contributions[:3], contributions[3:])]
    assert [sum(pair) / 2 for pair in zip(*halves, strict=True)] == pytest.approx(logits, abs=1e-12)


def _head_weights(model: object) -> np.ndarray:
    """Return the class weights [3, 1536]: the tensor of that shape behind the node that makes `cam`."""
    from onnx import numpy_helper

    for tensor in model.graph.initializer:  # type: ignore[attr-defined]
        if sorted(tensor.dims, reverse=True)[:2] == [1536, 3]:
            return numpy_helper.to_array(tensor).astype(np.float64).reshape(3, 1536)
    raise AssertionError("the model has no head")


def _ended_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").read_text("ascii").split(") ")[1].startswith("Z"):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="the threads' priorities are read from Linux's /proc")
def test_the_workers_of_the_scorer_step_back_behind_the_window(pack: Pack, record: ProofRecord) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with on_cpu(pack, record, workers=2) as scorer:
        scored(scorer, [chest(0)])

        threads = [int(one.name) for one in Path(f"/proc/{scorer.pid}/task").iterdir()]
        priorities = [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads]

    # A library keeps one idle thread of its own from its import on; the reading one and both workers have stepped back.
    assert priorities.count(min(own + 10, 19)) >= 3


def test_every_answer_says_what_preparation_and_network_took(pack: Pack, record: ProofRecord) -> None:
    started = time.monotonic()
    with on_cpu(pack, record, workers=1) as scorer:
        scores = scored(scorer, [chest(seed) for seed in range(4)])

    spent = [(one.seconds_prepare, one.seconds_network) for one in scores.values()]
    assert all(min(seconds) > 0 for seconds in spent)
    assert len(set(spent)) > 1  # measured, each for itself
    assert sum(map(sum, spent)) < time.monotonic() - started
