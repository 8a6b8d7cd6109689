"""Set up and run aicorona-desktop from its checkout, with nothing but Python 3.11 or newer.

    run.py demo [ARGUMENTS]    triage the embedded demo
    run.py run [ARGUMENTS]     any other command of the program, such as: run.py run triage FOLDER
    run.py test [ARGUMENTS]    run the tests; ARGUMENTS go to pytest
    run.py check               everything that guards a change: what .ci/run runs
    run.py lock [--upgrade]    make the lock files anew from pyproject.toml

The first use makes .venv in the checkout from the lock files; later uses install again only when those have
changed. pip is asked with your own settings. Exit codes: 2 wrong use; 3 the set-up failed; else the command's own.
"""

# Only the standard library, and no syntax newer than Python 3.7: an older Python must get as far as the sentence
# that says what to install.

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
RUN_LOCK, DEV_LOCK = "requirements.lock", "requirements-dev.lock"
STAMP = "aicorona-desktop.json"  # in the .venv: marks it as ours from the start, as ready only at the end
UNFINISHED: dict[str, str] = {}
OLDEST, TOO_NEW = (3, 11), (3, 15)
WRONG_USE, SETUP_FAILED = 2, 3
TRAIN_VARIABLE = "AICORONA_CI_TRAIN"
SMALL_TORCH = "torch==2.13.0"  # looked for in its build for the CPU alone, a tenth of the usual one's size

# Everything with compiled code that the program loads: one import of each shows what the system lacks.
PROBE = (
    "import numpy, scipy.ndimage, onnxruntime, pydicom, gdcm, openjpeg, PIL.Image, sqlite3, ssl, zlib;"
    "from PySide6 import QtGui, QtOpenGLWidgets, QtSvg, QtWidgets"
)
MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object file")
DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libexpat.so.1": "libexpat1",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libgcc_s.so.1": "libgcc-s1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgomp.so.1": "libgomp1",
    "libstdc++.so.6": "libstdc++6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libz.so.1": "zlib1g",
}


class SetupError(Exception):
    """The set-up cannot go on; the text says why and what to do, in one sentence."""


# --- what this machine must have ---------------------------------------------------------------------------------


def unsuitable(version: tuple[int, int], system: str, machine: str, bits: int) -> str:
    """Return why this Python cannot run the program and what to install, or an empty text if it can."""
    if not OLDEST <= version < TOO_NEW:
        return (
            f"Python 3.11 to 3.14 is needed and this is {version[0]}.{version[1]}. "
            "Debian 12, Ubuntu 24.04 or newer: apt install python3 python3-venv; "
            "Windows: winget install Python.Python.3.12; then start this script with that Python."
        )
    if (system, machine, bits) not in {("Linux", "x86_64", 64), ("Windows", "AMD64", 64)}:
        return (
            "A 64-bit Python on Linux x86_64 or Windows AMD64 is needed "
            f"and this is a {bits}-bit one on {system} {machine}: the lock files hold packages for those two only."
        )
    return ""


def require_suitable_python() -> None:
    """Raise SetupError on a Python or a system that the lock files are not made for."""
    bits = struct.calcsize("P") * 8
    why = unsuitable((sys.version_info[0], sys.version_info[1]), platform.system(), platform.machine(), bits)
    if why:
        raise SetupError(why)


def install_system_packages(names: list[str], purpose: str) -> None:
    """Install Debian packages where this user may, else raise SetupError with the command to type."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *names]
    if not shutil.which("apt-get"):
        raise SetupError(f"{purpose} is missing; install what your system calls {' '.join(names)} (Debian's names).")
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        raise SetupError(f"{purpose} is missing; type: sudo apt-get update && sudo {' '.join(command)}")
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    quietly("Asking for the system's package lists", ["apt-get", "update", "-q"], quiet)
    quietly(f"Installing {' '.join(names)}", command, quiet)


def require_venv_module() -> None:
    """Make sure that this Python can make environments; Debian ships that apart from Python."""
    probe = [base_python(), "-c", "import ensurepip, venv"]
    if subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        install_system_packages(
            [f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"], "Python's venv module (ensurepip)"
        )


def lacking_packages(complaint: str) -> list[str]:
    """Return the Debian packages of the shared libraries that the loader's complaint names."""
    return [DEBIAN_PACKAGES.get(name, name) for name in MISSING_LIBRARY.findall(complaint)]


def require_libraries(python: str) -> None:
    """Load everything compiled once; install or name what the system lacks."""
    for attempt in range(len(DEBIAN_PACKAGES) + 1):
        done = subprocess.run(
            [python, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        lacking = lacking_packages(done.stderr)
        if not lacking or attempt == len(DEBIAN_PACKAGES):
            last_line = (done.stderr.strip().splitlines() or ["no word from Python"])[-1]
            hint = " Install Microsoft's Visual C++ Redistributable (x64)." if "DLL load failed" in last_line else ""
            raise SetupError(f"The installed packages do not load: {last_line}.{hint}")
        install_system_packages(lacking, f"A system library ({', '.join(lacking)})")


# --- the environment ---------------------------------------------------------------------------------------------


def base_python() -> str:
    """Return the Python that environments are made with, also when this one runs inside the .venv itself."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def script_folder(venv: Path) -> Path:
    """Return the folder of the environment's programs."""
    return venv / ("Scripts" if os.name == "nt" else "bin")


def venv_python(venv: Path = VENV) -> str:
    """Return the environment's Python."""
    return str(script_folder(venv) / ("python.exe" if os.name == "nt" else "python"))


def this_python() -> str:
    """Return what an environment belongs to: one Python, by place and version, on one kind of machine."""
    return f"{sys.base_prefix} {platform.python_version()} {platform.machine()}"


def fingerprint(root: Path, lock: str) -> str:
    """Return the SHA-256 of what an installation from this lock depends on."""
    digest = hashlib.sha256(str(root).encode())
    for name in (lock, "pyproject.toml"):
        digest.update(b"\0" + (root / name).read_bytes())
    return digest.hexdigest()


def read_stamp(venv: Path) -> dict[str, str] | None:
    """Return the environment's Python and the fingerprint of each lock; None if we did not make it."""
    with contextlib.suppress(OSError, ValueError):
        stamp = json.loads((venv / STAMP).read_text(encoding="utf-8"))
        if isinstance(stamp, dict):
            return {str(key): str(value) for key, value in stamp.items()}
    return None


def write_stamp(venv: Path, stamp: dict[str, str]) -> None:
    """Write the stamp in one piece."""
    part = venv / (STAMP + ".part")
    part.write_text(json.dumps(stamp), encoding="utf-8")
    part.replace(venv / STAMP)


def is_ready(stamp: dict[str, str] | None, root: Path, lock: str) -> bool:
    """Whether the environment holds what this lock asks for; what develops also runs."""
    if not stamp or stamp.get("python") != this_python():
        return False
    return any(stamp.get(name) == fingerprint(root, name) for name in (lock, DEV_LOCK))


def is_usable(venv: Path, stamp: dict[str, str] | None) -> bool:
    """Whether packages can be installed into what is there: a finished environment of ours, or one of the user's."""
    ours_and_other = stamp is not None and stamp.get("python") != this_python()
    return Path(venv_python(venv)).exists() and not ours_and_other


def make_venv(venv: Path) -> None:
    """Make the environment, in place of one that is of no use."""
    if venv.exists() and not any((venv / name).exists() for name in (STAMP, "pyvenv.cfg")):
        raise SetupError(f"{venv} is there and is no Python environment; move it away.")
    require_venv_module()
    try:
        if venv.exists():
            shutil.rmtree(venv)
        venv.mkdir()
        write_stamp(venv, UNFINISHED)
    except OSError as error:
        raise SetupError(f"{venv} can't be made anew ({error.strerror}); close what still uses it.") from error
    quietly("Making .venv", [base_python(), "-m", "venv", str(venv)])


def prepare(lock: str) -> str:
    """Return the .venv's Python, with everything installed that the lock file asks for, and the project itself."""
    python, stamp = venv_python(), read_stamp(VENV)
    if is_ready(stamp, ROOT, lock):
        return python
    if is_usable(VENV, stamp):
        write_stamp(VENV, UNFINISHED)
    else:
        make_venv(VENV)
    count = len(re.findall(r"^[\w.-]+==", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE))
    pip = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    quietly(f"Installing {count} locked packages", [*pip, "--require-hashes", "--requirement", str(ROOT / lock)])
    install_project(pip)
    require_libraries(python)
    write_stamp(VENV, {"python": this_python(), lock: fingerprint(ROOT, lock)})
    return python


def install_project(pip: list[str]) -> None:
    """Install the checkout itself, so that edits count at once; what builds it is held to the locked files too."""
    held = ["--no-deps", "--build-constraint", str(ROOT / DEV_LOCK)]
    quietly("Installing aicorona-desktop", [*pip, *held, "--editable", str(ROOT)])


# --- running things ----------------------------------------------------------------------------------------------


def say(text: str, end: str = "\n") -> None:
    """Tell the person at the terminal; standard output belongs to the commands."""
    print(text, end=end, file=sys.stderr, flush=True)


def quietly(what: str, command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a step of the set-up in one line of the terminal; return its output, show it only if the step fails."""
    say(f"{what} ... ", end="")
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=environment,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"{what} failed: {Path(command[0]).name} could not be started ({error.strerror}).") from error
    if done.returncode:
        say("failed\n" + "\n".join(f"    {line}" for line in done.stdout.splitlines()[-20:]))
        raise SetupError(f"{what} failed; the lines above are the last that {Path(command[0]).name} said.")
    say(f"{time.monotonic() - started:.1f} s")
    return done.stdout


def exit_code(returncode: int) -> int:
    """Return a child's end as a shell would: 128 + n for signal n."""
    return 128 - returncode if returncode < 0 else returncode


def run_through(command: list[str], cwd: Path | None = None, environment: dict[str, str] | None = None) -> int:
    """Run a command on this terminal and return its exit code; Ctrl-C reaches it and it decides itself."""
    with subprocess.Popen(command, cwd=cwd, env=environment) as child:
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                return exit_code(child.wait())


def program(arguments: list[str]) -> int:
    """Run the program in the user's folder; modules that lie there, on a disc say, are not imported."""
    return run_through([prepare(RUN_LOCK), "-P", "-m", "aicorona_desktop", *arguments])


def demo(arguments: list[str]) -> int:
    """Triage the embedded demo."""
    return program(["demo", *arguments])


def test(arguments: list[str]) -> int:
    """Run the tests."""
    return run_through([prepare(DEV_LOCK), "-m", "pytest", *arguments], cwd=ROOT)


def lock(arguments: list[str]) -> int:
    """Make the lock files anew, with the uv of the present one."""
    return run_through([prepare(DEV_LOCK), str(ROOT / "installer" / "lock.py"), *arguments], cwd=ROOT)


# --- what guards a change ----------------------------------------------------------------------------------------


def check(arguments: list[str]) -> int:
    """Run every check in turn and stop at the first that fails."""
    if arguments:
        say("check takes no arguments.")
        return WRONG_USE
    python = prepare(DEV_LOCK)
    steps: list[tuple[str, list[str]]] = [
        ("lock is current", [python, str(ROOT / "installer" / "lock.py"), "--check"]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("ruff check", [python, "-m", "ruff", "check", "."]),
        ("import contracts", [str(script_folder(VENV) / "lint-imports"), "--no-cache"]),
        ("mypy", [python, "-m", "mypy"]),
        *training_steps(python, os.environ.get(TRAIN_VARIABLE) or small_torch(python)),
        ("tests", [python, "-m", "pytest"]),
        ("wheel builds and starts", [python, str(Path(__file__).resolve()), "wheel"]),
    ]
    taken = []
    for name, command in steps:
        say(f"\n=== {name}")
        started = time.monotonic()
        code = run_through(command, cwd=ROOT)
        taken.append(f"{name} {time.monotonic() - started:.0f} s")
        if code:
            say(f"=== {name}: failed with exit code {code}")
            return code
    say("\n=== all passed: " + ", ".join(taken))
    return 0


def small_torch(python: str) -> str:
    """Return the requirement of PyTorch where pip's settings give its build for the CPU alone, else nothing."""
    pip = [python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--no-input"]
    asked = [*pip, "--disable-pip-version-check", "--report", "-", SMALL_TORCH]
    done = subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    with contextlib.suppress(ValueError, KeyError, IndexError):
        if "+cpu" in json.loads(done.stdout)["install"][0]["metadata"]["version"]:
            return SMALL_TORCH
    return ""


def training_steps(python: str, wish: str) -> list[tuple[str, list[str]]]:
    """Return the step that installs the training extra, if it is wished for.

    `wish` is 0 or empty for no; 1 for the build of PyTorch that your pip settings give, which can be several
    gigabytes; or the requirement to install, such as torch==2.13.0.
    """
    if wish in {"", "0"}:
        return []
    torch = "torch" if wish == "1" else wish
    pip = [python, "-m", "pip", "install", "--quiet", "--no-input", "--no-build-isolation"]
    return [("training extra", [*pip, torch, "--editable", ".[train]"])]


def wheel(arguments: list[str]) -> int:
    """Build the wheel, install it with the locked packages into an environment of its own, and start it there."""
    if arguments:
        say("wheel takes no arguments.")
        return WRONG_USE
    python = prepare(DEV_LOCK)
    with tempfile.TemporaryDirectory(prefix="aicorona-wheel-") as temporary:
        folder = Path(temporary)
        pip = ["-m", "pip", "--no-input", "--disable-pip-version-check"]
        built = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
        quietly("Building the wheel", [python, *pip, *built])
        (wheel_file,) = folder.glob("aicorona_desktop-*.whl")
        say(f"{wheel_file.name}: {wheel_file.stat().st_size / 1024 / 1024:.1f} MiB")
        venv = folder / "venv"
        quietly("Making a fresh environment", [base_python(), "-m", "venv", str(venv)])
        install = [venv_python(venv), *pip, "install"]
        quietly("Installing the locked packages", [*install, "--require-hashes", "-r", str(ROOT / RUN_LOCK)])
        quietly("Installing the wheel", [*install, "--no-deps", "--no-index", str(wheel_file)])
        return start_installed(venv, folder)


def start_installed(venv: Path, folder: Path) -> int:
    """Start the installed program outside the checkout: its version, then the demo."""
    command = str(script_folder(venv) / "aicorona-desktop")
    code = run_through([command, "--version"], cwd=folder)
    return code or run_through([command, "demo"], cwd=folder)


COMMANDS = {"demo": demo, "run": program, "test": test, "check": check, "lock": lock, "wheel": wheel}


def main(arguments: list[str]) -> int:
    """Run one sub-command; return the exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        say((__doc__ or "").strip())
        return 0 if arguments else WRONG_USE
    if arguments[0] not in COMMANDS:
        say(f"There is no '{arguments[0]}' here; there are {', '.join(sorted(COMMANDS))}.")
        return WRONG_USE
    try:
        require_suitable_python()
        return COMMANDS[arguments[0]](arguments[1:])
    except SetupError as error:
        say(f"run.py: {error}")
        return SETUP_FAILED
    except KeyboardInterrupt:
        say("\nStopped. The next start goes on from here.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
