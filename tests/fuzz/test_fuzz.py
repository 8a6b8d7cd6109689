"""Mutated files: our error or a sound answer, in time, and the parent lives; `python -m tests.soak fuzz` runs more."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicorona_desktop.dicom.client import Reader
from tests.fuzz import campaign, seeds
from tests.fuzz.campaign import Report

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SEED = 20261124
REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.zlib"))  # deflated: no DICOM file lies in the tree


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


def assert_harmless(report: Report) -> None:
    assert [what for what, _ in report.troubles] == []
    assert len(report.outcomes) > 1, report.outcomes
    assert report.inputs == sum(report.outcomes.values())


def test_mutated_headers_are_examined_or_refused(shared: Path) -> None:
    report = campaign.headers(list(seeds.headers(shared / "data/dicom")), 3000, SEED)

    assert_harmless(report)
    assert report.outcomes["clean"] + report.outcomes["warned"] > 200


def test_mutated_headers_without_the_real_files() -> None:
    assert_harmless(campaign.headers(list(seeds.headers()), 1000, SEED))


def test_mutated_archives_are_read_whole_or_refused() -> None:
    report = campaign.archives(list(seeds.archives()), 2000, SEED)

    assert_harmless(report)
    assert report.outcomes["read"] > 10


def test_a_mutated_disc_directory_never_leads_out_of_the_disc() -> None:
    assert_harmless(campaign.directories(list(seeds.directories()), 1000, SEED))


def test_the_parent_survives_whatever_a_reader_that_was_taken_over_writes() -> None:
    report = campaign.pipes(list(seeds.slices().values()), 4000, SEED)

    assert_harmless(report)
    assert report.outcomes["answer"] > 50


CODECS = ("native", "deflate", "rle", "jpeg-lossless-57", "jpeg-lossless-70", "jpeg-ls", "jpeg-2000", "htj2k")


@pytest.mark.parametrize("codec", CODECS)
def test_mutated_slices_give_pixels_or_a_reason(reader: Reader, codec: str, request: pytest.FixtureRequest) -> None:
    real = request.getfixturevalue("shared") / "data/dicom/transfer_syntaxes" if codec == "htj2k" else None
    child = reader.process_id

    report = campaign.slices(reader, seeds.frames(real)[codec], 200, SEED)

    assert_harmless(report)
    assert report.restarts == 0 or reader.process_id != child
    assert report.outcomes["pixels"] + report.outcomes["DECODE_FAILED"] > 50  # most changes reach the decoder


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_broke_a_parser_does_so_no_more(reader: Reader, path: Path) -> None:
    content = zlib.decompress(path.read_bytes())
    parse = {
        "archive": campaign.parse_archive,
        "directory": campaign.parse_directory,
        "pipe": campaign.parse_pipe,
    }.get(path.stem.partition("-")[0], campaign.parse_header)

    assert parse(content)
