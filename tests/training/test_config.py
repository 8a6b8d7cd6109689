"""A training file: the paper's settings by default, every field counts, mistakes are named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.training.config import Config, ConfigError, Stage, read_config

TRAINING_FILES = Path(__file__).resolve().parents[2] / "resources" / "training"


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    return (*value, "x") if not value or isinstance(value[0], str) else tuple(changed(one) for one in value)


def one_field_changed(part: Any) -> Iterator[Any]:
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if dataclasses.is_dataclass(value):
            for inner in one_field_changed(value):
                yield dataclasses.replace(part, **{field.name: inner})
        elif field.name == "stages":
            for stage in one_field_changed(value[0]):
                yield dataclasses.replace(part, stages=(stage,))
        else:
            yield dataclasses.replace(part, **{field.name: changed(value)})


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text, "utf-8")
    return path


def test_an_empty_file_is_the_papers_training(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, ""))

    assert config == Config()
    assert (config.stages[0].epochs, config.stages[0].size) == (60, 512)
    assert (config.data.preparation, config.data.slice_rule) == ("paper-1", "middle(0.5)")


def test_the_hash_changes_with_any_field() -> None:
    hashes = [config.sha256 for config in one_field_changed(Config())]

    assert len(hashes) > 60
    assert len({Config().sha256, *hashes}) == len(hashes) + 1


def test_the_hash_is_the_same_for_the_same_settings(tmp_path: Path) -> None:
    text = 'seed = 3\n[data]\nwithout = ["a", "b"]\n[[stages]]\nsteps = 5\nepochs = 0\nslide = [1, 2]\n'

    config = read_config(written(tmp_path, text))

    assert config.sha256 == read_config(written(tmp_path, text)).sha256
    assert config.stages[0] == Stage(steps=5, epochs=0, slide=(1, 2))
    assert config.data.without == ("a", "b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sed = 1", "unknown setting sed"),
        ("[data]\npreparations = 'x'", "unknown setting data.preparations"),
        ("seed = 'one'", "seed has a value of the wrong kind"),
        ("seed = true", "seed has a value of the wrong kind"),
        ("[augmentation]\nzoom = [1.0]", "augmentation.zoom needs 2 values"),
        ("[data]\npreparation = 'window-9'", "no preparation 'window-9'"),
        ("[data]\nslice_rule = 'some'", "no slice rule 'some'"),
        ("[start]\nkind = 'magic'", "start.kind has a value of the wrong kind"),
        ("[start]\nkind = 'file'", "does not name it"),
        ("[[stages]]\nsteps = 3", "either steps or epochs"),
        ("[[stages]]\nbatch = 0", "can't have this value of batch"),
        ("stages = []", "no stage"),
        ("seed = ", "can't be read as TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_config(written(tmp_path, text))


def test_the_training_files_that_made_our_weights_can_be_read() -> None:
    files = sorted(TRAINING_FILES.glob("*.toml"))

    assert [read_config(file).name for file in files] == [file.stem for file in files]
