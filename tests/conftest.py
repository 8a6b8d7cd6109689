"""What every test may ask for: the real data beside the checkout, where it is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = (Path(__file__).resolve().parents[2] / "shared").resolve()


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program's own data folder for the tests: nothing of the user's is read or written."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(folder))
        patch.setattr("platformdirs.user_data_dir", lambda *_names, **_options: str(folder / "aicorona-desktop"))
        yield folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and tools beside the checkout."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def bad_inputs(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the generator of broken and awkward inputs has filled, with its manifest.csv."""
    out = tmp_path_factory.mktemp("bad") / "inputs"
    subprocess.run([sys.executable, shared / "tools" / "make_bad_inputs.py", out], check=True, capture_output=True)
    return out
