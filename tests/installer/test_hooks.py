from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import hooks
import pytest


@pytest.fixture
def dicom(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"  # the name says nothing
    path.write_bytes(bytes(128) + b"DICM" + bytes(8))
    return path


def test_a_dicom_file_is_refused_whatever_its_name(dicom: Path):
    (sentence,) = hooks.refused("dicom", [dicom])

    assert "picture.png is a DICOM file" in sentence


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(127) + b"DICM", bytes(129) + b"DICM"])
def test_the_mark_anywhere_else_is_not_dicom(tmp_path: Path, content: bytes):
    path = tmp_path / "a.bin"
    path.write_bytes(content)

    assert hooks.refused("dicom", [path]) == []


def test_only_small_files_pass_as_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hooks, "SAMPLES", tmp_path)
    small, large = tmp_path / "small.dcm", tmp_path / "large.dcm"
    for path, size in ((small, 4096), (large, hooks.LARGEST_SAMPLE_BYTES)):
        path.write_bytes(bytes(128) + b"DICM" + bytes(size))

    assert [sentence.split()[0] for sentence in hooks.refused("dicom", [small, large])] == [str(large)]


def test_a_file_over_25_mib_is_refused_and_one_of_25_mib_is_not(tmp_path: Path):
    just, over = tmp_path / "just", tmp_path / "over"
    for path, size in ((just, hooks.LARGEST_BYTES), (over, hooks.LARGEST_BYTES + 1)):
        with path.open("wb") as file:
            file.truncate(size)

    assert hooks.refused("large", [just, over]) == [f"{over} is larger than 25 MiB"]


@pytest.mark.parametrize("content", [b"a \n", b"a\t\n", b"a\r\n", b"a"])
def test_space_at_the_end_of_a_line_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "a.txt"
    path.write_bytes(content)

    assert len(hooks.refused("space", [path])) == 1


@pytest.mark.parametrize("content", [b"", b"a\n", b" a\n\nb\n", b"\0 \n"])
def test_clean_text_and_binary_files_pass(tmp_path: Path, content: bytes):
    path = tmp_path / "a.txt"
    path.write_bytes(content)

    assert hooks.refused("space", [path]) == []


def test_the_hook_fails_with_the_file_named(dicom: Path):
    done = subprocess.run([sys.executable, hooks.__file__, "dicom", dicom], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "picture.png" in done.stdout
