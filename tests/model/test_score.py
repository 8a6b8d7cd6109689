from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.score import SliceScore, Triple
from aicorona_desktop.model.fragility import fragility
from aicorona_desktop.model.novelty import training_distance
from aicorona_desktop.model.pack import FeatureStatistics, OperatingPoint, Pack
from aicorona_desktop.model.score import ScoredSlice, combine, contribution_of, output_digest, score_of, softmax
from tests.model.tiny_pack import tiny_pack

TRIPLES = st.tuples(*[st.floats(-30, 30)] * 3)
BIAS = (0.1, 0.2, -0.3)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return tiny_pack(tmp_path_factory.mktemp("pack"))


def slice_score(covid: float, *, features: float = 0.0, side: int = 2) -> SliceScore:
    cam = np.zeros((3, side, side), np.float32)
    cam[2] = covid
    return SliceScore(cam, np.full(1536, features, np.float32), contribution_of(cam))


def study_of(pack: Pack, covid: list[float], *, preliminary: bool = False) -> object:
    slices = {
        index: ScoredSlice(f"1.2.{index}", f"{index:064x}", slice_score(share)) for index, share in enumerate(covid)
    }
    return score_of(
        pack, slices, slices_total=40, preliminary=preliminary, provider="cpu", seconds_read=1.0, seconds_infer=2.0
    )


# --- the vector of the specification (paper-spec 4.2) ----------------------------------------------------------------


def test_the_mean_of_the_maps_and_the_bias_give_the_specification_s_logits(pack: Pack) -> None:
    # given: two slices of 2x2 positions with two channels, and the class weights
    first = np.array([[(1, 0), (0, 2)], [(3, 1), (0, 1)]], float)
    second = np.array([[(0, 0), (1, 1)], [(2, 0), (1, 3)]], float)
    weights = np.array([[1, -1, 0.5], [2, 0, -1]])
    cams = [np.moveaxis(feature @ weights, -1, 0).astype(np.float32) for feature in (first, second)]
    assert cams[0][0].tolist() == [[1, 4], [5, 2]]
    assert cams[1][0].tolist() == [[0, 3], [2, 7]]

    contributions = [contribution_of(cam) for cam in cams]
    combined = combine(replace(pack, bias=BIAS), contributions)

    assert contributions == [(3, -1, -0.5), (3, -1, -0.5)]
    assert combined.logits == pytest.approx((3.1, -0.8, -0.8), abs=1e-12)
    assert combined.probabilities == pytest.approx((0.961091, 0.019454, 0.019454), abs=5e-7)
    # and: the head on the pooled features says the same
    pooled = (first + second).mean(axis=(0, 1)) / 2
    assert pooled @ weights + np.array(BIAS) == pytest.approx(combined.logits, abs=1e-12)


# --- invariances (paper-spec 3.4) ------------------------------------------------------------------------------------


@given(st.lists(TRIPLES, min_size=1, max_size=30), st.randoms(use_true_random=False), st.integers(2, 4))
def test_order_and_repetition_change_no_bit_of_the_logits(
    pack: Pack, contributions: list[Triple], random: object, times: int
) -> None:
    logits = combine(pack, contributions).logits
    shuffled = list(contributions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert combine(pack, shuffled).logits == logits
    assert combine(pack, contributions[::-1]).logits == logits
    assert combine(pack, contributions * times).logits == pytest.approx(logits, abs=1e-13)


@given(st.lists(TRIPLES, min_size=2, max_size=30), st.data())
def test_chunks_weighted_by_their_size_give_the_whole(
    pack: Pack, contributions: list[Triple], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(contributions) - 1))
    chunks = [contributions[:cut], contributions[cut:]]

    weighted = [
        math.fsum(len(chunk) * (combine(pack, chunk).logits[c] - BIAS[c]) for chunk in chunks) / len(contributions)
        + BIAS[c]
        for c in range(3)
    ]

    assert combine(pack, contributions).logits == pytest.approx(weighted, abs=1e-12)


@given(TRIPLES, st.floats(0.1, 10))
def test_probabilities_add_up_to_one_and_keep_the_order_of_the_logits(logits: Triple, temperature: float) -> None:
    probabilities = softmax(logits, temperature)

    assert math.fsum(probabilities) == pytest.approx(1, abs=1e-15)
    for one, other in itertools.permutations(range(3), 2):
        assert logits[one] <= logits[other] or probabilities[one] >= probabilities[other]


def test_huge_logits_do_not_overflow() -> None:
    assert softmax((1e4, 0.0, -1e4)) == (1.0, 0.0, 0.0)


def test_the_temperature_flattens_or_sharpens_the_probabilities_alone(pack: Pack) -> None:
    contributions = [(1.0, 0.0, 2.0)]

    warm, plain = combine(replace(pack, temperature=2.0), contributions), combine(pack, contributions)

    assert warm.logits == plain.logits
    halved = tuple(logit / 2 for logit in plain.logits)
    assert warm.probabilities == pytest.approx(softmax(halved), abs=1e-15)  # type: ignore[arg-type]


def test_the_standard_error_is_that_of_the_mean_and_nothing_for_one_slice(pack: Pack) -> None:
    contributions = [(0.0, 1.0, 2.0), (0.0, 2.0, 6.0), (0.0, 3.0, 10.0)]

    assert combine(pack, contributions).standard_error == pytest.approx((0, 1 / math.sqrt(3), 4 / math.sqrt(3)))
    assert combine(pack, contributions[:1]).standard_error == (0.0, 0.0, 0.0)


def test_no_slices_have_no_score(pack: Pack) -> None:
    with pytest.raises(ValueError, match="at least one slice"):
        combine(pack, [])


# --- the score of a study --------------------------------------------------------------------------------------------


def test_a_score_names_its_slices_in_their_order_whatever_order_they_came_in(pack: Pack) -> None:
    slices = {index: ScoredSlice(f"1.2.{index}", f"{index:064x}", slice_score(float(index))) for index in (7, 3, 5)}

    score = score_of(
        pack, slices, slices_total=11, preliminary=True, provider="cuda", seconds_read=1.5, seconds_infer=2.5
    )

    assert score.slice_indices == (3, 5, 7)
    assert score.slice_identities == ("1.2.3", "1.2.5", "1.2.7")
    assert score.slice_sha256 == tuple(f"{index:064x}" for index in (3, 5, 7))
    assert [share[2] for share in score.slice_contributions] == [3, 5, 7]
    assert score.logits == pytest.approx((0.1, 0.2, 4.7))
    assert (score.slices_total, score.preliminary, score.provider) == (11, True, "cuda")
    assert (score.pack, score.pack_sha256, score.pack_status) == ("tiny 1", pack.sha256, "untrained")
    assert (score.preparation, score.seconds_read, score.seconds_infer) == ("window-1", 1.5, 2.5)
    assert (score.training_distance, score.training_distance_limit) == (None, None)


# --- fragility (design D10) ------------------------------------------------------------------------------------------


def p_of(contributions: object) -> float:
    covid = [one[2] for one in contributions]  # type: ignore[attr-defined]
    return 1 / (1 + math.exp(-sum(covid) / len(covid)))


def test_half_the_range_of_the_probabilities_without_the_strongest_slices_is_the_spread() -> None:
    contributions = [(0.0, 0.0, float(share)) for share in range(-9, 31)]  # 40 slices: without 1, 3 and 4
    ordered = sorted(one[2] for one in contributions)

    spread = fragility(contributions, p_of, None)

    without_four = 1 / (1 + math.exp(-sum(ordered[:36]) / 36))
    assert spread.half_spread == pytest.approx((p_of(contributions) - without_four) / 2)
    assert not spread.doubtful
    assert not spread.rests_on_one_slice


def test_a_positive_that_falls_without_its_strongest_slice_rests_on_it() -> None:
    contributions = [(0.0, 0.0, -1.0)] * 9 + [(0.0, 0.0, 12.0)]

    spread = fragility(contributions, p_of, 0.5)

    assert spread.rests_on_one_slice
    assert spread.doubtful


def test_a_score_far_from_the_operating_point_is_not_doubtful() -> None:
    contributions = [(0.0, 0.0, 5.0 + 0.01 * number) for number in range(20)]

    for threshold in (0.05, 0.9999):
        spread = fragility(contributions, p_of, threshold)
        assert not spread.doubtful
        assert not spread.rests_on_one_slice


def test_a_negative_near_the_operating_point_is_doubtful_and_rests_on_nothing() -> None:
    contributions = [(0.0, 0.0, -2.0)] * 9 + [(0.0, 0.0, 17.0)]

    spread = fragility(contributions, p_of, 0.5 + 1e-6 + (p_of(contributions) - 0.5))

    assert spread.doubtful
    assert not spread.rests_on_one_slice


def test_a_positive_of_one_slice_rests_on_it() -> None:
    assert fragility([(0.0, 0.0, 3.0)], p_of, 0.5).rests_on_one_slice
    assert not fragility([(0.0, 0.0, -3.0)], p_of, 0.5).rests_on_one_slice
    assert fragility([(0.0, 0.0, 3.0)], p_of, 0.5).half_spread == 0


def test_the_pack_s_operating_point_decides_about_doubt(pack: Pack) -> None:
    covid = [-4.0] * 9 + [60.0]

    pointed = study_of(replace(pack, operating_point=OperatingPoint(0.5, "A", "tune")), covid)
    without = study_of(pack, covid)

    assert pointed.fragility.rests_on_one_slice  # type: ignore[attr-defined]
    assert not without.fragility.rests_on_one_slice  # type: ignore[attr-defined]
    assert without.fragility.half_spread == pointed.fragility.half_spread > 0  # type: ignore[attr-defined]


# --- unlike the training data (design D9) ----------------------------------------------------------------------------


def test_the_distance_is_mahalanobis_with_the_shrunk_covariance() -> None:
    # given: two main directions of 1536, found by a QR of random numbers
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(1536, 2)))[0].T
    statistics = _statistics(rng.normal(size=1536), directions, [4.0, 2.0], 0.5)
    covariance = directions.T @ np.diag([4.0, 2.0]) @ directions + 0.5 * (np.eye(1536) - directions.T @ directions)
    inverse = np.linalg.inv(covariance)
    features = [rng.normal(size=1536).astype(np.float32) for _ in range(3)]

    expected = []
    for one in features:
        away = one.astype(float) - statistics.mean
        expected.append(math.sqrt(away @ inverse @ away))

    assert training_distance(statistics, features) == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_mean_itself_lies_at_distance_zero_and_the_score_carries_distance_and_limit(pack: Pack) -> None:
    statistics = _statistics(np.zeros(1536), np.eye(2, 1536), [1.0, 1.0], 1.0)

    score = study_of(replace(pack, statistics=statistics), [1.0, 2.0])

    assert score.training_distance == 0  # type: ignore[attr-defined]
    assert score.training_distance_limit == 40.0  # type: ignore[attr-defined]


def test_where_the_statistics_are_of_directions_the_length_of_features_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    statistics = replace(_statistics(np.full(1536, 0.02), np.eye(2, 1536), [0.1, 0.2], 0.05), unit_length=True)
    features = rng.uniform(0, 1, 1536).astype(np.float32)
    plain = replace(statistics, unit_length=False)

    distance = training_distance(statistics, [features])

    assert distance == pytest.approx(training_distance(statistics, [7 * features]), rel=1e-5)
    assert distance == pytest.approx(training_distance(plain, [features / np.linalg.norm(features)]), rel=1e-5)
    assert math.isfinite(training_distance(statistics, [np.zeros(1536, np.float32)]))


def _statistics(mean: np.ndarray, components: np.ndarray, variances: list[float], rest: float) -> FeatureStatistics:
    return FeatureStatistics(
        mean.astype(np.float32),
        components.astype(np.float32),
        np.array(variances, np.float32),
        residual_variance=rest,
        limit=40.0,
        origin="numbers",
    )


# --- the digest ------------------------------------------------------------------------------------------------------


def test_the_digest_tells_outputs_apart_by_any_number_and_by_order() -> None:
    one, other = slice_score(1.0), slice_score(2.0)

    digests = {
        output_digest(scores)
        for scores in ([one], [other], [one, other], [other, one], [slice_score(1.0, features=1.0)])
    }

    assert len(digests) == 5
    assert output_digest([slice_score(1.0)]) == output_digest([one])
