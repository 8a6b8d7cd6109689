"""The self-check tries every part for real: one that does not work is named, and the others are tried all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aicorona_desktop.app import self_check as module
from aicorona_desktop.app.self_check import self_check
from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.model.pack import default_pack


def test_a_decoder_that_gives_another_picture_is_named_and_the_rest_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(resources_dir() / "samples", tmp_path / "samples")
    broken = tmp_path / "samples" / "implicit-vr-little-endian.dcm"
    content = bytearray(broken.read_bytes())
    content[-1] ^= 1
    broken.write_bytes(content)
    monkeypatch.setattr(module, "resources_dir", lambda: tmp_path)

    result = self_check(default_pack(), "cpu")

    assert [(check.name, check.detail) for check in result.checks if not check.ok] == [
        ("decoders", "not read as expected: implicit-vr-little-endian.")
    ]
    assert {"model pack", "history", "known answer", "speed"} <= {check.name for check in result.checks}
    assert not result.ok


def test_without_samples_nothing_is_claimed_of_the_decoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "resources_dir", lambda: tmp_path)

    result = self_check(default_pack(), "cpu")

    assert [check.detail for check in result.checks if not check.ok] == ["not read as expected: no sample files."]
