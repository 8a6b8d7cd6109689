"""Fuzzing that is led by coverage of our parsers: `python -m tests.fuzz.guided TARGET SECONDS FOLDER [REAL]`.

Needs atheris (`pip install atheris`), which the suite doesn't. TARGET is header, archive, directory or pipe; what
crashes and what is slow is left in FOLDER; REAL is a folder of DICOM files to begin with besides our own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aicorona_desktop.dicom", "aicorona_desktop.core.frames"]):
    from tests.fuzz import campaign, seeds

LARGEST_INPUT_BYTES = 16 * 1024


def main(arguments: list[str]) -> None:
    """Fuzz one parser for so long."""
    target, seconds, folder = arguments[0], int(arguments[1]), Path(arguments[2])
    real = Path(arguments[3]) if len(arguments) > 3 else None
    made, parse = {
        "header": (seeds.headers(real), campaign.parse_header),
        "archive": (seeds.archives(), campaign.parse_archive),
        "directory": (seeds.directories(real), campaign.parse_directory),
        "pipe": (campaign.sound_frames(list(seeds.slices().values())), campaign.parse_pipe),
    }[target]
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for index, content in enumerate(made):
        if len(content) <= LARGEST_INPUT_BYTES:
            (corpus / f"seed-{index}").write_bytes(content)
    options = [f"-max_total_time={seconds}", f"-max_len={LARGEST_INPUT_BYTES}", "-timeout=5", "-rss_limit_mb=1500"]
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={folder}/", str(corpus)], lambda data: parse(data) and None
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
