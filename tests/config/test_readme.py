"""The README names what the code reads, and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("config", "inference", "annotation", "feedback", "alignment")


def read_by_the_code() -> set[str]:
    found = set()
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            found |= set(re.findall(r'\benv\(\s*"([A-Z_]+)"', file.read_text()))
    return found


def settings_of_the_readme() -> set[str]:
    text = (ROOT / "README.md").read_text()
    rows = text[text.index("| variable | meaning |") :].split("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}


def test_every_setting_is_in_the_readme_and_none_is_made_up():
    # BIND is read by the Procfile's shell, not by Python.
    assert settings_of_the_readme() - {"BIND"} == read_by_the_code()


def test_every_command_of_the_readme_exists():
    text = (ROOT / "README.md").read_text()
    commands = set(re.findall(r"`manage\.py (\w+)", text))
    there = {file.stem for app in APPS for file in (ROOT / app).glob("management/commands/*.py")}
    assert commands <= there


def test_every_requirement_has_its_reason():
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line.strip() and not line.startswith(("#", "-")):
                assert re.search(r"==\S+\s+# \S", line), f"{name}: {line}"
