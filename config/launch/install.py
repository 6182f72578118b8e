"""Make a virtual environment hold the given requirements (standard library only).

Usage: python config/launch/install.py [--check] VENV FILE...

A note in the environment records the digest of each requirements file installed into it, so a
second call is instant, and one that was interrupted is taken up where it stopped.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

NEEDED_MB = 3000


def digest(path: Path) -> str:
    """SHA-256 of a requirements file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def note_of(venv: Path) -> dict[str, str]:
    """File name -> digest, as installed; empty for an environment made elsewhere or half-made."""
    with contextlib.suppress(OSError, ValueError):
        note = json.loads((venv / "installed.json").read_text())
        if note.pop("", None) == str(venv.resolve()):
            return note
    return {}


def is_current(venv: Path, files: list[Path]) -> bool:
    """Whether exactly these versions of `files` are installed."""
    note = note_of(venv)
    return all(note.get(path.name) == digest(path) for path in files)


def works(venv: Path) -> bool:
    """Whether the interpreter and pip of the environment run."""
    try:
        probe = [str(venv / "bin" / "python"), "-c", "import pip, sys; print(sys.prefix)"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and Path(done.stdout.strip()).resolve() == venv.resolve()


def make(venv: Path) -> None:
    """Make the environment anew; stops with the reason when it cannot."""
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            f"\n{sys.executable} cannot make virtual environments: its package for that is missing."
            "\nInstall it (Debian, Ubuntu: apt install python3-venv), or name another Python:"
            "\n    make run PYTHON=/path/to/python3.11\n"
        )
    print(f"Making {venv} with Python {sys.version.split()[0]} ...", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], check=False)
    if done.returncode != 0:
        sys.exit(f"\n{venv} could not be made; the lines above say why. Nothing else was done.\n")


def install(venv: Path, files: list[Path]) -> None:
    """Install `files` together; stops with the reason when it cannot."""
    print(f"Installing {', '.join(path.name for path in files)}; minutes the first time ...")
    sys.stdout.flush()
    line = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    line += ["--disable-pip-version-check", "--no-input"]
    for path in files:
        line += ["-r", str(path)]
    status = subprocess.run(line, check=False).returncode
    if status != 0:
        free = shutil.disk_usage(venv).free // 2**20
        hint = f"\nThe disk has only {free} MB free." if free < NEEDED_MB else ""
        if status < 0:
            hint += f"\nIt was ended by {signal.Signals(-status).name}; perhaps memory was short."
        sys.exit(
            f"\nThe requirements could not be installed; the lines above say why.{hint}"
            "\nWhat was installed is kept; put it right and run the same command again.\n"
        )


def remove(venv: Path, names: list[str]) -> None:
    """Uninstall packages that a requirement brings along and that cannot work here."""
    if names:
        line = [str(venv / "bin" / "python"), "-m", "pip", "uninstall", "--quiet", "--yes", *names]
        subprocess.run(line, check=True)


def unwanted(files: list[Path]) -> list[str]:
    """Names on lines `# uninstall: NAME ...` of the requirements files."""
    mark = "# uninstall:"
    lines = [line for path in files for line in path.read_text().splitlines()]
    return [name for line in lines if line.startswith(mark) for name in line[len(mark) :].split()]


def main(arguments: list[str]) -> int:
    """Check, or install; returns the exit status."""
    check = arguments[0] == "--check"
    venv, *files = (Path(argument) for argument in arguments[1 if check else 0 :])
    if check:
        return 0 if is_current(venv, files) else 1
    with open(f"{venv}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"Waiting for another command that installs into {venv} ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if is_current(venv, files):
            return 0
        if not works(venv):
            make(venv)
        install(venv, files)
        remove(venv, unwanted(files))
        note = {**note_of(venv), **{path.name: digest(path) for path in files}}
        fresh = venv / "installed.json.new"
        fresh.write_text(json.dumps({"": str(venv.resolve()), **note}, indent=1) + "\n")
        os.replace(fresh, venv / "installed.json")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
