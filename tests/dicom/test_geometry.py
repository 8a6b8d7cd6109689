from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicorona_desktop.core.study import Instance
from aicorona_desktop.dicom.geometry import (
    Gap,
    feet_first,
    geometry_of,
    has_place,
    natural,
    slice_normal,
    slice_positions_mm,
)
from tests.dicom.phantom_series import HEADER, PhantomSeries, chest, file

AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def turned(degrees: float, axis: str) -> dict[str, tuple[float, float, float]]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows, columns = {
        "x": ((1.0, 0.0, 0.0), (0.0, cosine, sine)),
        "y": ((cosine, 0.0, sine), (0.0, 1.0, 0.0)),
        "z": ((cosine, sine, 0.0), (-sine, cosine, 0.0)),
    }[axis]
    return {"row_cosines": rows, "column_cosines": columns}


def test_the_normal_points_to_the_head_whichever_way_rows_and_columns_run():
    flipped = ((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))

    assert slice_normal(*AXIAL) == pytest.approx((0, 0, 1))
    assert slice_normal(*flipped) == pytest.approx((0, 0, 1))


def test_parallel_rows_and_columns_have_no_normal():
    with pytest.raises(ValueError, match="parallel"):
        slice_normal((1.0, 0.0, 0.0), (1.0, 0.0, 0.0))


def test_positions_are_measured_along_the_normal_and_not_along_z():
    tilted = turned(60, "x")
    normal = slice_normal(tilted["row_cosines"], tilted["column_cosines"])

    along = slice_positions_mm([(0.0, 0.0, 0.0), (0.0, 0.0, 10.0)], normal)

    assert along == pytest.approx((0, 5))  # 10 mm times the cosine of 60 degrees


@given(st.permutations(range(20)))
def test_the_order_does_not_depend_on_the_order_of_arrival(order: list[int]):
    instances = chest(slices=20).instances

    assert feet_first(instances[index] for index in order) == instances


def test_instance_numbers_say_nothing_of_place():
    backwards = PhantomSeries(
        tuple(
            Instance(one.file, replace(one.header, instance_number=100 - index))
            for index, one in enumerate(chest(slices=20).instances)
        )
    )

    ordered = feet_first(backwards.shuffled(1).instances)

    assert geometry_of(ordered).positions_mm == tuple(5.0 * index for index in range(20))


def test_slices_of_one_position_stand_by_number_then_by_natural_name():
    place = replace(HEADER, instance_number=None)
    by_name = [Instance(file(name), replace(place, sop_instance_uid=name)) for name in ("IM10", "IM9")]
    numbered = Instance(file("Z"), replace(HEADER, instance_number=7, sop_instance_uid="Z"))

    ordered = feet_first([*by_name, numbered])

    assert [one.file.shown for one in ordered] == ["Z", "IM9", "IM10"]


def test_no_instances_have_no_order_and_no_geometry():
    assert feet_first([]) == ()
    with pytest.raises(ValueError, match="no slices"):
        geometry_of(())


@pytest.mark.parametrize("missing", [{"image_position_mm": None}, {"row_cosines": None}, {"column_cosines": None}])
def test_a_slice_without_a_place_is_an_error_and_can_be_asked_for(missing: dict[str, None]):
    nowhere = chest(slices=3).tagged(1, **missing).instances

    assert [has_place(one.header) for one in nowhere] == [True, False, True]
    with pytest.raises(ValueError, match=r"no (position|orientation)"):
        feet_first(nowhere)


def test_an_even_series_has_its_distance_and_counts_a_whole_one_for_every_slice():
    geometry = geometry_of(chest(slices=40, spacing_mm=5).instances)

    assert geometry.spacing_mm == 5
    assert geometry.coverage_mm == 200
    assert (geometry.unevenness_percent, geometry.gaps, geometry.shared_positions) == (0, (), 0)


def test_rounded_positions_are_no_unevenness():
    thirds = geometry_of(chest(slices=40).at(lambda index: round(index * 10 / 3, 2)).instances)

    assert thirds.spacing_mm == pytest.approx(3.33)
    assert thirds.unevenness_percent < 0.5


def test_a_missing_slice_is_a_gap_and_no_unevenness():
    geometry = geometry_of(chest().without(17, 25, 26).instances)

    assert geometry.gaps == (Gap(after_slice=16, width_mm=10, missing=1), Gap(after_slice=23, width_mm=15, missing=2))
    assert geometry.unevenness_percent == 0


@pytest.mark.parametrize(("step_mm", "is_gap"), [(9.0, True), (8.9, False), (11.0, True), (11.1, False)])
def test_a_gap_is_a_multiple_of_the_distance_within_a_tenth_of_it(step_mm: float, is_gap: bool):
    shifted = chest().at(lambda index: index * 5 + (step_mm - 5 if index > 20 else 0))

    geometry = geometry_of(shifted.instances)

    assert bool(geometry.gaps) == is_gap
    assert (geometry.unevenness_percent > 0) != is_gap


def test_unevenness_is_the_largest_deviation_from_the_median_in_percent():
    jittered = chest().at(lambda index: 5 * (index + 0.08 * (index % 2)))

    assert geometry_of(jittered.instances).unevenness_percent == pytest.approx(14.8, abs=0.1)


def test_shared_positions_do_not_count_into_the_median():
    doubled = chest(slices=20)

    geometry = geometry_of(feet_first(doubled.plus(doubled.renamed("second")).instances))

    assert (geometry.spacing_mm, geometry.shared_positions) == (5, 20)


def test_slices_that_all_share_a_position_have_no_distance():
    geometry = geometry_of(chest(slices=20, spacing_mm=0).instances)

    assert (geometry.spacing_mm, geometry.coverage_mm, geometry.tilt_deg) == (0, 0, 0)


@pytest.mark.parametrize("degrees", [0.0, 0.5, 3.0, 18.5])
def test_tilt_is_the_angle_between_normal_and_travel(degrees: float):
    geometry = geometry_of(chest().tagged(**turned(degrees, "x")).instances)

    assert geometry.tilt_deg == pytest.approx(degrees, abs=0.01)
    assert geometry.off_axis_deg == pytest.approx(degrees, abs=0.01)


def test_an_oblique_stack_that_travels_along_its_normal_is_off_axis_but_not_tilted():
    oblique = turned(10, "x")
    normal = slice_normal(oblique["row_cosines"], oblique["column_cosines"])
    stack = chest().tagged(**oblique)
    stack = PhantomSeries(
        tuple(
            Instance(one.file, replace(one.header, image_position_mm=tuple((5.0 * index * normal).tolist())))
            for index, one in enumerate(stack.instances)
        )
    )

    geometry = geometry_of(stack.instances)

    assert geometry.tilt_deg == pytest.approx(0, abs=0.01)
    assert geometry.off_axis_deg == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize(("degrees", "left"), [(0, 0), (10, 10), (45, 45), (80, 10), (90, 0), (180, 0), (275, 5)])
def test_turns_by_90_degrees_are_taken_out_of_the_rotation_in_the_plane(degrees: float, left: float):
    geometry = geometry_of(chest().tagged(**turned(degrees, "z")).instances)

    assert geometry.in_plane_deg == pytest.approx(left, abs=0.01)
    assert geometry.off_axis_deg == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_one_slice_of_another_orientation_shows_as_spread(axis: str):
    geometry = geometry_of(chest().tagged(7, **turned(2, axis)).instances)

    assert geometry.orientation_spread_deg == pytest.approx(2, abs=0.01)
    assert geometry.off_axis_deg == 0  # the others decide how the series stands


def test_coronal_slices_are_90_degrees_off_the_axis():
    coronal = chest().tagged(row_cosines=(1.0, 0.0, 0.0), column_cosines=(0.0, 0.0, -1.0))

    assert geometry_of(coronal.instances).off_axis_deg == pytest.approx(90)


def test_geometry_is_made_of_plain_numbers():
    geometry = geometry_of(chest().instances)

    assert not any(isinstance(value, np.generic) for value in (geometry.spacing_mm, *geometry.positions_mm))


def test_names_sort_as_people_count():
    assert sorted(["IM10", "IM9", "A2B", "IM", "A10"], key=natural) == ["A2B", "A10", "IM", "IM9", "IM10"]
