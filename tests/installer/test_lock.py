from __future__ import annotations

from pathlib import Path

import lock
import pytest

PYPROJECT = (lock.ROOT / "pyproject.toml").read_text(encoding="utf-8")

TWO_SYSTEMS = """\
# inputs: sha256 0
numpy==2.4.6 ; python_full_version < '3.12' and sys_platform == 'linux' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via scipy
numpy==2.5.5 ; python_full_version >= '3.12' or sys_platform == 'win32' \\
    --hash=sha256:cc
"""


def texts() -> dict[str, str]:
    return {name: (lock.ROOT / name).read_text(encoding="utf-8") for name in lock.EXTRA_OPTIONS}


def test_a_lock_is_compared_by_what_it_installs_where():
    found = lock.pins(TWO_SYSTEMS)

    assert found["linux 3.11"] == {"numpy==2.4.6"}
    assert found["linux 3.14"] == {"numpy==2.5.5"}
    assert found["win32 3.11"] == {"numpy==2.5.5"}


def test_another_spelling_of_a_marker_is_no_difference():
    other = TWO_SYSTEMS.replace(
        "python_full_version < '3.12' and sys_platform == 'linux'",
        "(sys_platform == 'linux' and python_full_version < '3.12')",
    )

    assert lock.pins(other) == lock.pins(TWO_SYSTEMS)


@pytest.mark.parametrize("name", list(lock.EXTRA_OPTIONS))
def test_the_locks_belong_to_this_pyproject(name: str):
    stated = lock.INPUTS_LINE.search(texts()[name])

    assert stated is not None
    assert stated[1] == lock.inputs_sha256(PYPROJECT, name), "run `python installer/run.py lock`"


def test_a_new_dependency_makes_both_locks_stale():
    changed = PYPROJECT.replace('"numpy>=2.2,<3"', '"numpy>=2.3,<3"')

    for name in lock.EXTRA_OPTIONS:
        assert lock.inputs_sha256(changed, name) != lock.inputs_sha256(PYPROJECT, name)


def test_a_new_tool_makes_only_the_developers_lock_stale():
    changed = PYPROJECT.replace('"pytest>=9"', '"pytest>=9.1"')

    assert lock.inputs_sha256(changed, lock.RUN_LOCK) == lock.inputs_sha256(PYPROJECT, lock.RUN_LOCK)
    assert lock.inputs_sha256(changed, lock.DEV_LOCK) != lock.inputs_sha256(PYPROJECT, lock.DEV_LOCK)


@pytest.mark.parametrize("environment", list(lock.ENVIRONMENTS))
def test_what_runs_is_a_subset_of_what_develops_at_the_same_versions(environment: str):
    runs, develops = (lock.pins(texts()[name])[environment] for name in (lock.RUN_LOCK, lock.DEV_LOCK))

    assert runs <= develops


@pytest.mark.parametrize("environment", list(lock.ENVIRONMENTS))
def test_each_system_gets_one_edition_of_onnx_runtime(environment: str):
    names = {pin.split("==")[0] for pin in lock.pins(texts()[lock.DEV_LOCK])[environment]}

    expected = "onnxruntime-directml" if environment.startswith("win32") else "onnxruntime"
    assert {name for name in names if name.startswith("onnxruntime")} == {expected}


def test_the_locks_hold_no_pytorch_and_name_no_place():
    for text in texts().values():
        assert "\ntorch==" not in text
        assert "://" not in text
        assert str(Path.home()) not in text


def test_the_locks_bring_the_pip_that_holds_the_build_of_the_project_to_them():
    assert all(int(pin.split("==")[1].split(".")[0]) >= 26 for pin in _pips())
    assert _pips()


def _pips() -> list[str]:
    return [pin for pins in lock.pins(texts()[lock.RUN_LOCK]).values() for pin in pins if pin.startswith("pip==")]


def test_a_stale_lock_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name, text in texts().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PYPROJECT.replace("pydicom>=3.0.2", "pydicom>=3.0.1"), encoding="utf-8")
    monkeypatch.setattr(lock, "ROOT", tmp_path)

    with pytest.raises(lock.LockError, match=r"run `python installer/run\.py lock`"):
        lock.check()


def test_an_unreachable_registry_is_said_and_is_no_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_CACHE", "1")

    assert "registry could not be asked" in lock.check()


def test_a_wish_that_nothing_fulfils_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.13"\ndependencies = ["a-b", "a-b==1", "a-b==2"]\n'
        "[project.optional-dependencies]\ndev = []\n[tool.uv]\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setenv("UV_OFFLINE", "1")

    with pytest.raises(lock.LockError) as raised:
        lock.compiled(lock.RUN_LOCK, "")

    assert not isinstance(raised.value, lock.NoRegistryError)
