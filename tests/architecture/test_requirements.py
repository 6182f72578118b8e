"""What the code imports is what the requirements files name."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OWN = {"alignment", "annotation", "config", "feedback", "inference", "tests"}


def named_in(*files):
    text = "\n".join((ROOT / name).read_text() for name in files)
    return {canonical(name) for name in re.findall(r"^[A-Za-z0-9_.-]+", text, re.MULTILINE)}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def third_party_imports(*folders):
    """Top-level name -> one file that imports it."""
    found = {}
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = []
                if isinstance(node, ast.Import):
                    names = [name.name for name in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    top = name.partition(".")[0]
                    if top not in sys.stdlib_module_names | OWN:
                        found.setdefault(top, path.relative_to(ROOT))
    return found


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (sorted(OWN - {"tests"}), ["requirements.txt"]),
        (["tests"], ["requirements.txt", "requirements-dev.txt"]),
    ],
    ids=["product", "tests"],
)
def test_every_package_that_is_imported_is_pinned(folders, files):
    known, distributions = named_in(*files), packages_distributions()
    missing = {
        name: str(path)
        for name, path in third_party_imports(*folders).items()
        if not known & {canonical(found) for found in distributions.get(name, [name])}
    }
    assert not missing
