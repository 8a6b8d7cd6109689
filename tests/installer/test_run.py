from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import run

SCRIPT = Path(run.__file__)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that an installation depends on."""
    for name in (run.RUN_LOCK, run.DEV_LOCK, "pyproject.toml"):
        (tmp_path / name).write_text(name)
    (tmp_path / ".venv").mkdir()
    return tmp_path


def made_by_us(checkout: Path, lock: str) -> dict[str, str]:
    return {"python": run.this_python(), lock: run.fingerprint(checkout, lock)}


# --- what the machine must have ----------------------------------------------------------------------------------


def test_an_older_python_is_told_what_to_install():
    sentence = run.unsuitable((3, 9), "Linux", "x86_64", 64)

    assert "Python 3.11" in sentence
    assert "3.9" in sentence
    assert "apt install python3" in sentence
    assert "winget install" in sentence


def test_a_python_newer_than_the_locks_is_refused_too():
    assert "this is 3.15" in run.unsuitable((3, 15), "Linux", "x86_64", 64)


@pytest.mark.parametrize(
    ("system", "machine", "bits"),
    [("Linux", "aarch64", 64), ("Darwin", "arm64", 64), ("Windows", "AMD64", 32), ("Windows", "ARM64", 64)],
)
def test_a_system_that_the_locks_hold_nothing_for_is_named(system: str, machine: str, bits: int):
    sentence = run.unsuitable((3, 12), system, machine, bits)

    assert f"{bits}-bit one on {system} {machine}" in sentence


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13), (3, 14)])
@pytest.mark.parametrize(("system", "machine"), [("Linux", "x86_64"), ("Windows", "AMD64")])
def test_the_pythons_and_systems_of_the_locks_are_taken(version: tuple[int, int], system: str, machine: str):
    assert run.unsuitable(version, system, machine, 64) == ""


def test_an_old_python_can_read_the_script_as_far_as_that_sentence():
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_the_script_imports_the_standard_library_alone():
    imports = [node for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))) if isinstance(node, ast.Import)]
    froms = [
        node for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)
    ]

    names = {alias.name for node in imports for alias in node.names} | {str(node.module) for node in froms}

    assert names <= sys.stdlib_module_names


def test_a_missing_library_is_named_as_debian_calls_its_package():
    complaint = "ImportError: libgomp.so.1: cannot open shared object file: No such file or directory"

    assert run.lacking_packages(complaint) == ["libgomp1"]


def test_an_unknown_missing_library_is_named_as_the_loader_calls_it():
    complaint = "ImportError: libnew-2.so.7: cannot open shared object file: No such file or directory"

    assert run.lacking_packages(complaint) == ["libnew-2.so.7"]


@pytest.mark.skipif(os.name == "nt", reason="apt-get is Debian's")
def test_a_user_who_may_not_install_packages_is_given_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")

    with pytest.raises(run.SetupError, match=r"sudo apt-get install -y --no-install-recommends python3\.11-venv"):
        run.install_system_packages(["python3.11-venv"], "Python's venv module")


# --- when it installs --------------------------------------------------------------------------------------------


def test_an_environment_with_the_stamp_of_this_lock_is_ready(checkout: Path):
    run.write_stamp(checkout / ".venv", made_by_us(checkout, run.RUN_LOCK))

    assert run.is_ready(run.read_stamp(checkout / ".venv"), checkout, run.RUN_LOCK)


def test_what_develops_also_runs(checkout: Path):
    stamp = made_by_us(checkout, run.DEV_LOCK)

    assert run.is_ready(stamp, checkout, run.RUN_LOCK)
    assert run.is_ready(stamp, checkout, run.DEV_LOCK)


def test_what_runs_does_not_develop(checkout: Path):
    assert not run.is_ready(made_by_us(checkout, run.RUN_LOCK), checkout, run.DEV_LOCK)


@pytest.mark.parametrize("changed", [run.RUN_LOCK, "pyproject.toml"])
def test_a_changed_lock_or_project_file_is_installed_again(checkout: Path, changed: str):
    stamp = made_by_us(checkout, run.RUN_LOCK)

    (checkout / changed).write_text("changed")

    assert not run.is_ready(stamp, checkout, run.RUN_LOCK)


def test_another_python_gets_an_environment_of_its_own(checkout: Path):
    stamp = made_by_us(checkout, run.RUN_LOCK) | {"python": "another one"}

    assert not run.is_ready(stamp, checkout, run.RUN_LOCK)


def test_a_torn_stamp_is_no_stamp(checkout: Path):
    (checkout / ".venv" / run.STAMP).write_text('{"python": ')

    assert run.read_stamp(checkout / ".venv") is None


def test_an_interrupted_set_up_is_made_anew_and_a_users_own_environment_is_kept(checkout: Path):
    venv = checkout / ".venv"
    python = Path(run.venv_python(venv))
    python.parent.mkdir()
    python.write_text("")

    assert not run.is_usable(venv, run.UNFINISHED)
    assert run.is_usable(venv, None)
    assert run.is_usable(venv, made_by_us(checkout, run.RUN_LOCK))


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Path):
    treasure = checkout / ".venv" / "treasure"
    treasure.write_text("")

    with pytest.raises(run.SetupError, match="move it away"):
        run.make_venv(checkout / ".venv")

    assert treasure.exists()


def test_a_half_made_environment_is_replaced_and_known_as_ours_before_it_is_finished(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
):
    venv = checkout / ".venv"
    run.write_stamp(venv, run.UNFINISHED)
    (venv / "half").write_text("")
    seen: list[dict[str, str] | None] = []
    monkeypatch.setattr(run, "quietly", lambda *_: seen.append(run.read_stamp(venv)))

    run.make_venv(venv)

    assert seen == [run.UNFINISHED]
    assert not (venv / "half").exists()


def test_the_environment_under_test_needs_no_second_installation():
    stamp = run.read_stamp(Path(sys.prefix))
    if stamp is None:
        pytest.skip("this environment was not made by installer/run.py")

    assert stamp["python"] == run.this_python()


# --- what it passes on -------------------------------------------------------------------------------------------


def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Return the command line that a sub-command ends in, with a program in the environment's place."""
    calls: list[list[str]] = []
    monkeypatch.setattr(run, "prepare", lambda lock: f"python of {lock}")
    monkeypatch.setattr(run, "run_through", lambda command, **_: calls.append(command) or 7)

    assert run.main(list(arguments)) == 7
    (command,) = calls
    return command


def test_demo_passes_further_arguments_to_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    command = called(tmp_path, monkeypatch, "demo", "--json", "a file.json")

    assert command[0] == "python of requirements.lock"
    assert command[-5:] == ["-m", "aicorona_desktop", "demo", "--json", "a file.json"]


def test_run_passes_any_command_and_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = called(tmp_path, monkeypatch, "run", "triage", "a folder", "--help")

    assert command[1:] == ["-P", "-m", "aicorona_desktop", "triage", "a folder", "--help"]


def test_test_passes_further_arguments_to_pytest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    command = called(tmp_path, monkeypatch, "test", "tests/core", "-k", "gap")

    assert command == ["python of requirements-dev.lock", "-m", "pytest", "tests/core", "-k", "gap"]


def test_the_exit_code_of_a_child_is_passed_on():
    assert run.run_through([sys.executable, "-c", "raise SystemExit(42)"]) == 42


@pytest.mark.skipif(os.name == "nt", reason="signals are Unix's")
def test_a_child_ended_by_a_signal_gives_the_shells_exit_code():
    assert run.run_through([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]) == 128 + 9


def test_a_failed_step_shows_what_was_said_and_is_one_sentence(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(run.SetupError, match="Installing the moon failed"):
        run.quietly("Installing the moon", [sys.executable, "-c", "print('too far'); raise SystemExit(1)"])

    assert "too far" in capfd.readouterr().err


def test_a_step_that_works_is_one_line_and_says_nothing_on_standard_output(capfd: pytest.CaptureFixture[str]):
    run.quietly("Waiting", [sys.executable, "-c", "print('a lot')"])

    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("Waiting ... ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(("arguments", "code", "word"), [([], 2, "run.py demo"), (["fly"], 2, "no 'fly'")])
def test_wrong_use_is_exit_code_2(arguments: list[str], code: int, word: str):
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == code
    assert word in done.stderr


def test_trouble_of_the_set_up_is_one_line_and_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(run, "unsuitable", lambda *_: "Python 3.11 to 3.14 is needed and this is 3.9.")

    assert run.main(["demo"]) == run.SETUP_FAILED == 3
    assert capsys.readouterr().err == "run.py: Python 3.11 to 3.14 is needed and this is 3.9.\n"


# --- the training extra ------------------------------------------------------------------------------------------


def test_pytorch_is_installed_only_when_wished_for():
    assert run.training_steps("python", "") == []


@pytest.mark.parametrize(("wish", "requirement"), [("1", "torch"), ("torch==2.13.0", "torch==2.13.0")])
def test_the_build_of_pytorch_can_be_chosen(wish: str, requirement: str):
    ((_, command),) = run.training_steps("python", wish)

    assert requirement in command
    assert ".[train]" in command


def test_a_stamp_is_readable_json(checkout: Path):
    run.write_stamp(checkout / ".venv", {"python": "3"})

    assert json.loads((checkout / ".venv" / run.STAMP).read_text()) == {"python": "3"}
