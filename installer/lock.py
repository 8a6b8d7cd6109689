"""Make the lock files from pyproject.toml, or say whether they are current. Needs uv beside this interpreter.

    python installer/lock.py            make them anew, changing as few versions as pyproject.toml asks for
    python installer/lock.py --upgrade  the same with the newest versions that are a week old
    python installer/lock.py --check    exit with 1 and one sentence if they are not what pyproject.toml asks for

One universal file with hashes for every system that we ship to: markers inside say what is for which. uv's own
formats are left out because they write down file addresses of the registry.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
RUN_LOCK, DEV_LOCK = "requirements.lock", "requirements-dev.lock"
# What runs is a subset of what develops, at the same versions: the second is held to the first.
EXTRA_OPTIONS: Mapping[str, tuple[str, ...]] = {
    RUN_LOCK: (),
    DEV_LOCK: ("--extra", "dev", "--constraint", RUN_LOCK),
}
MADE_BY = "# Made by `python installer/run.py lock` from pyproject.toml: change that, not this."
NO_SOLUTION, NOT_ASKED = "No solution found", "the network was disabled"
INPUTS_LINE = re.compile(r"^# inputs: sha256 ([0-9a-f]{64})$", re.MULTILINE)
# What the markers are judged for: every Python and system that we ship to. Their spelling is uv's affair.
ENVIRONMENTS = {
    f"{system['sys_platform']} {python}": system | {"python_version": python, "python_full_version": f"{python}.0"}
    for python in ("3.11", "3.12", "3.13", "3.14")
    for system in (
        {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"},
        {"sys_platform": "win32", "platform_machine": "AMD64", "platform_system": "Windows", "os_name": "nt"},
    )
}


class LockError(Exception):
    """The lock files could not be made, or are not current; the text says what to do."""


class NoRegistryError(LockError):
    """The registry could not be asked, so nothing is known about newer or withdrawn files."""


def inputs_sha256(pyproject: str, lock: str) -> str:
    """Return the SHA-256 of those parts of pyproject.toml that decide what stands in the lock."""
    table = tomllib.loads(pyproject)
    project = table["project"]
    extras = project["optional-dependencies"]
    extra = [*extras["dev"], *extras["evaluate"]] if lock == DEV_LOCK else []
    parts = [project["requires-python"], sorted(project["dependencies"]), sorted(extra), table["tool"]["uv"]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def pins(lock_text: str) -> dict[str, set[str]]:
    """Return what the lock installs, `name==version`, for each of `ENVIRONMENTS`."""
    lines = (line.removesuffix("\\").strip() for line in lock_text.splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith(("#", "--"))]
    return {
        environment: {
            f"{one.name}{one.specifier}" for one in wanted if one.marker is None or one.marker.evaluate(dict(values))
        }
        for environment, values in ENVIRONMENTS.items()
    }


def hashes(lock_text: str) -> set[str]:
    """Return the SHA-256 of every file that the lock allows."""
    return set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock_text))


def compiled(lock: str, preferred: str, options: Sequence[str] = ()) -> str:
    """Return the text of the lock file as uv makes it now, keeping the versions of `preferred` where it can.

    Raises:
        NoRegistryError: the registry could not be asked.
        LockError: what pyproject.toml asks for does not fit together.
    """
    with tempfile.TemporaryDirectory(prefix="aicorona-lock-") as temporary:
        output = Path(temporary) / lock
        output.write_text(preferred, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--python-version", "3.11", "--no-header", *EXTRA_OPTIONS[lock], *options]
        done = subprocess.run(
            [*command, "pyproject.toml", "--output-file", str(output)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = done.stderr.strip() or f"uv ended with {done.returncode} and no word."
            raise (LockError if NO_SOLUTION in message and NOT_ASKED not in message else NoRegistryError)(message)
        return output.read_text(encoding="utf-8")


def make(options: Sequence[str]) -> None:
    """Write both lock files."""
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for lock in EXTRA_OPTIONS:
        path = ROOT / lock
        body = compiled(lock, path.read_text(encoding="utf-8") if path.exists() else "", options)
        head = f"{MADE_BY}\n# inputs: sha256 {inputs_sha256(pyproject, lock)}\n"
        path.write_text(head + body, encoding="utf-8", newline="\n")
        print(f"{lock}: {len(set().union(*pins(body).values()))} pins")


def check() -> str:
    """Return what was found when the lock files are current.

    Raises:
        LockError: they are not.
    """
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    texts = {lock: (ROOT / lock).read_text(encoding="utf-8") for lock in EXTRA_OPTIONS}
    for lock, text in texts.items():
        stated = INPUTS_LINE.search(text)
        if stated is None or stated[1] != inputs_sha256(pyproject, lock):
            raise LockError(f"pyproject.toml has changed since {lock} was made; run `python installer/run.py lock`.")
    try:
        for lock, text in texts.items():
            _compare(lock, text, compiled(lock, text))
    except NoRegistryError as error:
        return f"The locks belong to this pyproject.toml; the registry could not be asked for more:\n{error}"
    return "The locks are current."


def _compare(lock: str, kept: str, new: str) -> None:
    kept_pins, new_pins = pins(kept), pins(new)
    for environment in ENVIRONMENTS:
        different = sorted(kept_pins[environment] ^ new_pins[environment])
        if different:
            raise LockError(f"{lock} is not what uv makes of pyproject.toml for {environment}: {', '.join(different)}.")
    gone = hashes(kept) - hashes(new)
    if gone:
        raise LockError(f"{lock} allows {len(gone)} files that the registry no longer has; make it anew.")


def main(arguments: Sequence[str]) -> int:
    """Make or check the lock files; return the exit code."""
    try:
        if list(arguments) == ["--check"]:
            print(check())
        else:
            make(arguments)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
