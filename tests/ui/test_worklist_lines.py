"""Which line shows what, without writing 100,000 of them down."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aicorona_desktop.core.rows import Lane
from aicorona_desktop.ui.worklist_lines import Kind, Line, Lines

LANES = st.sampled_from(list(Lane))


def written_out(counts: dict[Lane, int], folded: set[Lane], details: dict[tuple[Lane, int], int]) -> list[Line]:
    """The lines the slow way: one after the other."""
    lines = []
    for lane in Lane:
        if not counts.get(lane):
            continue
        lines.append(Line(Kind.LANE, lane))
        for position in range(0 if lane in folded else counts[lane]):
            lines.append(Line(Kind.STUDY, lane, position))
            lines += [Line(Kind.DETAIL, lane, position, one) for one in range(details.get((lane, position), 0))]
    return lines


@settings(max_examples=200, deadline=None)
@given(
    counts=st.dictionaries(LANES, st.integers(0, 8)),
    folded=st.sets(LANES),
    details=st.dictionaries(st.tuples(LANES, st.integers(0, 9)), st.integers(0, 3)),
)
def test_lines_are_those_that_writing_them_out_gives(counts, folded, details):
    expected = written_out(counts, folded, details)

    lines = Lines(counts, folded, details)

    assert [lines[number] for number in range(len(lines))] == expected
    for number, line in enumerate(expected):
        if line.kind is Kind.STUDY:
            assert lines.study(line.lane, line.position) == number
        if line.kind is Kind.LANE:
            assert lines.heading(line.lane) == number


@settings(max_examples=100, deadline=None)
@given(
    counts=st.dictionaries(LANES, st.integers(0, 8)),
    details=st.dictionaries(st.tuples(LANES, st.integers(0, 9)), st.integers(0, 3)),
    first=st.integers(0, 50),
    length=st.integers(0, 20),
)
def test_the_studies_between_two_lines_are_found(counts, details, first, length):
    lines = Lines(counts, frozenset(), details)
    inside = [lines[number] for number in range(min(first, len(lines)), min(first + length + 1, len(lines)))]

    found = [(lane, position) for lane, span in lines.positions(first, first + length) for position in span]

    assert found == [(line.lane, line.position) for line in inside if line.kind is Kind.STUDY]


def test_a_hundred_thousand_studies_cost_no_more_than_a_few():
    lines = Lines({Lane.RANKED: 100_000, Lane.READ: 3}, {Lane.READ}, {(Lane.RANKED, 70_000): 4})

    assert len(lines) == 1 + 100_000 + 4 + 1
    assert lines[70_005] == Line(Kind.DETAIL, Lane.RANKED, 70_000, 3)
    assert lines[70_006] == Line(Kind.STUDY, Lane.RANKED, 70_001)
    assert lines.heading(Lane.READ) == 100_005


def test_a_sorted_list_has_no_headings():
    lines = Lines({Lane.RANKED: 2}, headed=False)

    assert [line.kind for line in map(lines.__getitem__, range(len(lines)))] == [Kind.STUDY, Kind.STUDY]
