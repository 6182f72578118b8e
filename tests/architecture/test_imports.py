"""The walls: who may import whom, read from the source itself."""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Each app may import those to its right, and itself.
LINE = ["alignment", "feedback", "annotation", "inference", "config"]

#: Usable in a notebook without the server.
DJANGO_FREE = [
    "alignment/objectives",
    "alignment/rewards",
    "alignment/rollouts",
    "alignment/stats",
    "alignment/trainer",
    "alignment/lab",
    "annotation/quality",
    "feedback/arena",
    "feedback/trust",
    "feedback/love",
    "inference/starter",
    "config/embedded",
]
DJANGO = {"django", "rest_framework", "channels", "celery", "drf_spectacular", "psycopg"}

#: Modules of an app that another app may enter it by, besides its Django-free packages.
DOORS = {"services", "selectors", "models"}

#: Never loaded by a web process: seconds of start and hundreds of megabytes.
HEAVY = ["torch", "transformers", "accelerate", "peft", "sklearn", "scipy", "matplotlib"]


def sources(folder):
    return sorted(
        path
        for path in (ROOT / folder).rglob("*.py")
        if "migrations" not in path.parts and "__pycache__" not in path.parts
    )


def imports_of(path):
    """Every (line, dotted module) that a file imports, at whatever depth of nesting."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], base]).rstrip(".")
            for name in node.names:
                yield node.lineno, f"{base}.{name.name}"


def is_module(dotted):
    path = ROOT.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


@pytest.mark.parametrize("app", LINE)
def test_an_app_imports_only_itself_and_those_to_its_right(app):
    to_the_left = set(LINE[: LINE.index(app)])
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(app)
        for line, module in imports_of(path)
        if module.split(".")[0] in to_the_left
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", DJANGO_FREE)
def test_a_django_free_package_imports_no_django_and_no_app(package):
    parts = package.split("/")
    free = tuple(".".join(folder.split("/")) for folder in DJANGO_FREE)
    wrong = []
    for path in sources(package):
        for line, module in imports_of(path):
            top = module.split(".")[0]
            of_an_app = top in LINE and not module.startswith((*free, ".".join(parts)))
            # The embedded server is PostgreSQL: its client is what that package is about.
            allowed = package == "config/embedded" and top == "psycopg"
            if (top in DJANGO and not allowed) or of_an_app:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("app", LINE[:-1])
def test_another_app_is_entered_by_its_doors_only(app):
    free = {tuple(folder.split("/")) for folder in DJANGO_FREE}
    wrong = []
    for path in sources(app):
        for line, module in imports_of(path):
            parts = module.split(".")
            other = parts[0]
            if other not in LINE or other in {app, "config"}:
                continue
            if tuple(parts[:2]) in free or not is_module(".".join(parts[:2])):
                continue
            if parts[1] not in DOORS | PUBLIC.get(other, set()):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


#: Further doors, named in the app's own documentation: pure functions and domain errors.
PUBLIC = {
    "inference": {"client", "errors", "windows"},
    "annotation": {"prompts", "errors", "formats"},
    "feedback": {"errors"},
}


def test_the_walls_are_all_there():
    for app in LINE:
        assert sources(app), f"{app} has no source"
    for package in ("alignment/objectives", "alignment/trainer", "inference/starter"):
        assert sources(package), f"{package} has no source"


def loaded_after(statement):
    """Names of the heavy packages in memory after a fresh process ran `statement`."""
    script = f"{statement}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "VAR_DIR": folder, "DJANGO_SETTINGS_MODULE": "config.settings"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.splitlines()[-1])


def test_web_start_up_leaves_torch_and_its_kind_unloaded():
    # The URL patterns too: they import every view, as the first request would.
    assert loaded_after("import config.asgi, config.urls") == []


def test_the_check_itself_can_see_a_heavy_package():
    assert loaded_after("import config.asgi, torch") == ["torch"]


def test_workers_start_without_torch_and_bring_it_only_for_a_task():
    assert (
        loaded_after("import config.celery; config.celery.app.loader.import_default_modules()")
        == []
    )
