"""The coverage page is in step with the registries, and nothing on it is claimed in vain."""

from __future__ import annotations

import subprocess
import sys

import pytest

from alignment import methods

#: Rows of the catalogue that this core owes.
OWED = [
    *(f"P{i}" for i in range(1, 15)),
    *(f"R{i}" for i in (*range(1, 10), *range(12, 16), 17)),
    *(f"W{i}" for i in range(1, 7)),
    *("L1", "L2", "L3", "L6", "L10", "N1", "M1", "M2", "M3", "M5"),
]


def test_the_page_is_in_step_with_the_registries():
    written = methods.PAGE.read_text(encoding="utf-8")
    assert written == methods.page(), "run: python -m alignment.methods --write"


def test_every_row_owed_is_covered():
    covered = {p.method for p in methods.every_piece()}
    assert set(OWED) == set(methods.ROWS) == covered
    assert set(methods.PARTLY) <= covered


def test_every_function_on_the_page_exists_and_is_named_by_a_test():
    pieces = methods.every_piece()
    for piece in pieces:
        assert callable(piece.load()), piece.target
        assert piece.load().__doc__, piece.target
        assert piece.method in methods.ROWS
        assert piece.source, piece.target
        assert piece.reference, piece.target
    assert methods.untested(pieces, methods.named_in_tests()) == []
    assert methods.untested(pieces, {}) == [methods.short(p) for p in pieces]


def test_a_function_stands_on_the_page_once():
    targets = [p.target for p in methods.every_piece()]
    assert len(targets) == len(set(targets))


def test_tests_are_found_through_imports_and_helpers_but_not_outside_of_tests(tmp_path):
    (tmp_path / "test_rewards_a.py").write_text(
        "from alignment.objectives import dpo, hinge, games as g\n"
        "from alignment.rewards.linear import fit\n"
        "def ipo(): ...\n"
        "def help():\n    return dpo(1)\n"
        "def test_x():\n    help()\n    ipo()\n    g.iterate()\n"
        "hinge(2)\n"
    )
    (tmp_path / "test_other.py").write_text("from alignment.objectives import kto\n")
    assert methods.named_in_tests(tmp_path) == {
        "alignment.objectives:dpo": {"test_rewards_a"},
        "alignment.objectives:games": {"test_rewards_a"},
        "alignment.objectives:iterate": {"test_rewards_a"},
    }


@pytest.mark.parametrize("module", ["alignment.methods", "alignment.rewards.pieces"])
def test_the_page_is_made_without_torch_or_django(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'django') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
