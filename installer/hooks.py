#!/usr/bin/env python3
"""Small checks before a commit, without anything from outside the checkout (see .pre-commit-config.yaml).

installer/hooks.py dicom|large|space FILES...    refuse what must not be committed
installer/hooks.py ruff ARGUMENTS...             ruff of the checkout's own .venv
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

LARGEST_BYTES = 25 * 1024 * 1024
DICOM_MARK_AT = 128
SAMPLES = Path(__file__).resolve().parents[1] / "resources" / "samples"
LARGEST_SAMPLE_BYTES = 16 * 1024


def is_dicom(path: Path) -> bool:
    """Whether the file carries the DICOM mark, DICM at byte 128 (DICOM PS3.10, 7.1): it may be a person's.

    The samples of `self-check` are let through: too small for a scan, and a test compares each with what our
    code draws.
    """
    if path.resolve().parent == SAMPLES and path.stat().st_size <= LARGEST_SAMPLE_BYTES:
        return False
    with path.open("rb") as file:
        file.seek(DICOM_MARK_AT)
        return file.read(4) == b"DICM"


def is_large(path: Path) -> bool:
    """Whether the file is too large for a repository that everybody clones."""
    return path.stat().st_size > LARGEST_BYTES


def has_trailing_space(path: Path) -> bool:
    """Whether a line of a text file ends in a space or a tab, or the last one has no end."""
    content = path.read_bytes()
    if b"\0" in content or not content:
        return False
    return not content.endswith(b"\n") or any(line != line.rstrip() for line in content.decode("latin-1").split("\n"))


CHECKS: dict[str, tuple[Callable[[Path], bool], str]] = {
    "dicom": (is_dicom, "is a DICOM file: pictures of people stay out of the repository, tests make their own"),
    "large": (is_large, f"is larger than {LARGEST_BYTES // 1024 // 1024} MiB"),
    "space": (has_trailing_space, "has space at the end of a line, or no end of line at the end"),
}


def refused(check: str, paths: Sequence[Path]) -> list[str]:
    """Return one sentence for every file that the check refuses; links and folders are passed over."""
    refuses, sentence = CHECKS[check]
    return [f"{path} {sentence}" for path in paths if path.is_file() and not path.is_symlink() and refuses(path)]


def main(arguments: Sequence[str]) -> int:
    """Run one check; return the exit code."""
    if not arguments or arguments[0] not in {*CHECKS, "ruff"}:
        print(__doc__, file=sys.stderr)
        return 2
    check, *rest = arguments
    if check == "ruff":
        import run  # only this check needs the .venv

        return subprocess.run([run.venv_python(), "-m", "ruff", *rest], check=False).returncode
    sentences = refused(check, [Path(name) for name in rest])
    for sentence in sentences:
        print(sentence)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
