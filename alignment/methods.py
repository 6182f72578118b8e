"""The method catalogue's coverage, written from the registries: `python -m alignment.methods
--write`.

Loads no torch and no Django. The tests of a function are found by its name in the test files, so
the table cannot claim a test that does not exist.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable
from pathlib import Path

from alignment.objectives import pieces as objective_pieces
from alignment.objectives.declare import Piece
from alignment.objectives.registry import REGISTRY
from alignment.rewards import pieces as reward_pieces
from alignment.rollouts import pieces as rollout_pieces
from alignment.trainer.contract import REQUIRED, columns_of

PAGE = Path(__file__).with_name("METHODS.md")
TESTS = tuple(
    Path(__file__).resolve().parents[1] / "tests" / name
    for name in ("alignment_core", "annotation")
)
CORE = ("alignment.", "annotation.quality")
PARTS = ("objectives", "rewards", "rollouts", "quality")

ROWS = {
    "R1": "Bradley-Terry",
    "R2": "regression on ratings",
    "R3": "rating and preference combined",
    "R4": "listwise with ties",
    "R5": "several attributes with a gate",
    "R6": "reactions, calibrated",
    "R7": "segments, tokens, steps",
    "R8": "principles, yes or no",
    "R9": "follow-up likelihood",
    "R12": "ensembles",
    "R13": "pairwise preference",
    "R14": "more than one taste",
    "R15": "noisy labels",
    "R17": "implicit reward",
    "W1": "log-sigmoid and conjunction",
    "W2": "preference as reward",
    "W3": "clipping, delta, whitening, moments",
    "W4": "length",
    "W5": "combination",
    "W6": "reliability",
    "P1": "DPO and its kin",
    "P2": "IPO",
    "P3": "hinge, SLiC, RSO",
    "P4": "f-DPO",
    "P5": "unpaired",
    "P6": "reference-free",
    "P7": "degree, rationale, token rewards",
    "P8": "LiPO and its family",
    "P9": "PRO",
    "P10": "exploration",
    "P11": "HyPO",
    "P12": "regret, advantage, posterior",
    "P13": "supervised from feedback",
    "P14": "verbal rules",
    "L1": "PPO",
    "L2": "REINFORCE family",
    "L3": "differences of rewards",
    "L6": "policy filtration",
    "L10": "KL and chi-squared",
    "N1": "Nash",
    "M1": "several objectives",
    "M2": "directions",
    "M3": "min-norm weights",
    "M5": "constrained rewards",
}

#: The models of annotators live with the judgments; losses here take their weights and soft labels.
CROWD = (
    Piece(
        "W6",
        "annotation.quality.reliability.majority",
        "shares of each value",
        "by hand",
    ),
    Piece(
        "W6",
        "annotation.quality.reliability.dawid_skene",
        "Dawid and Skene 1979, by crowd-kit 1.4",
        "majority for people all alike; 3 adversaries of 10",
    ),
    Piece(
        "W6",
        "annotation.quality.reliability.mace",
        "Hovy et al. 2013, by crowd-kit 1.4",
        "majority for people all alike",
    ),
    Piece(
        "W6",
        "annotation.quality.reliability.crowd_bt",
        "Chen et al. 2013 eq. 6",
        "choix 0.4.1; scipy.optimize without gradients",
    ),
)

PARTLY = {
    "M3": "PAMA's own O(n) closed form is absent: only its abstract could be read, so the exact "
    "min-norm problem is solved instead (at most 10 objectives)",
    "P7": "T-REG follows the paper's idea (token rewards by contrastive prompts, mean over both "
    "answers); its exact normalisation could not be checked against the authors' code",
    "P13": "PIT's ranking of gaps is written after the paper's description; its equation could not "
    "be checked",
    "L1": "the mix with pretraining text is a sum with `objectives.nll`, left to the caller",
    "R15": "label flipping, softening, margins and the contrastive term; the meta-learning of the "
    "paper's second half is absent",
}


def objectives_as_pieces() -> list[Piece]:
    """The registry's losses in the form of the other parts."""
    return [
        Piece(o.method, f"alignment.objectives.{o.target}", o.source, o.reference)
        for o in REGISTRY.values()
    ]


def every_piece() -> list[Piece]:
    """All functions of the catalogue, losses first."""
    return [
        *objectives_as_pieces(),
        *objective_pieces.PIECES,
        *reward_pieces.PIECES,
        *rollout_pieces.PIECES,
        *CROWD,
    ]


def key(piece: Piece) -> str:
    """Package and name, such as `alignment.rewards:fit`: what tests import a function by."""
    return f"{'.'.join(piece.target.split('.')[:2])}:{piece.name}"


def named_in_tests(*folders: Path) -> dict[str, set[str]]:
    """For every function of the core that a test uses, by `key`, the test files.

    Names are followed through the file's imports; helpers count for the tests that call them.
    """
    found: dict[str, set[str]] = {}
    every = [p for f in folders or TESTS for part in PARTS for p in f.glob(f"test_{part}*.py")]
    for path in sorted(every):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = _imports(tree)
        functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
        used = {name: _names(node, imported) for name, node in functions.items()}
        called = {name: _names(node, {f: f for f in functions}) for name, node in functions.items()}
        for name, keys in used.items():
            if not name.startswith("test_"):
                continue
            reached = keys.union(*(used[h] for h in called[name] & used.keys()))
            for other in reached:
                found.setdefault(other, set()).add(path.stem)
    return found


def _imports(tree: ast.Module) -> dict[str, str]:
    """Local names of what a file imports from the core, with their keys."""
    out: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(CORE):
            package = ".".join(node.module.split(".")[:2])
            for alias in node.names:
                out[alias.asname or alias.name] = f"{package}:{alias.name}"
    return out


def _names(node: ast.FunctionDef, known: dict[str, str]) -> set[str]:
    out = set()
    for part in (*node.body, *node.decorator_list):
        for n in ast.walk(part):
            if isinstance(n, ast.Name) and n.id in known:
                out.add(known[n.id])
            elif isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name):
                # module.function: the module's own package with the function's name.
                module = known.get(n.value.id)
                if module is not None:
                    out.add(f"{module.split(':')[0]}:{n.attr}")
    return out


def page(tests: dict[str, set[str]] | None = None) -> str:
    """The documentation page."""
    tests = named_in_tests() if tests is None else tests
    pieces = every_piece()
    lines = [
        "# Methods of the core",
        "",
        "Written by `python -m alignment.methods --write` from the registries; a test keeps it in",
        "step. Row ids are those of the method catalogue. Every loss of the registry has its",
        "gradient checked in float64 (test_objectives) besides the tests named.",
        "",
        "| row | method | function | source | named in tests | reference used |",
        "|---|---|---|---|---|---|",
    ]
    for row, title in ROWS.items():
        own = [p for p in pieces if p.method == row]
        for piece in own:
            lines.append(
                f"| {row} | {title} | `{short(piece)}` | {piece.source} | "
                f"{_tests(piece, tests)} | {piece.reference} |"
            )
    lines += ["", "## What is missing in part", ""]
    lines += [f"- **{row}**: {reason}." for row, reason in PARTLY.items()]
    lines += ["", *inputs_table()]
    return "\n".join(lines) + "\n"


def inputs_table() -> list[str]:
    """What each loss of the registry reads."""
    lines = [
        "## What each objective needs",
        "",
        "Columns are those of the input file besides the ones it always has (`trainer/README.md`).",
        "`test_every_objective_trains` runs each through the trainer.",
        "",
        "| objective | input | columns | reference | scores | fresh samples | token values | "
        "options |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for o in REGISTRY.values():
        flags = (o.needs_reference, o.needs_scores, o.fresh, o.needs_tokens)
        options = []
        for name, param in o.params.items():
            values = " / ".join(param.choices) if param.choices else f"{param.default:g}"
            options.append(f"{name} {values}")
        marks = " | ".join("yes" if f else "" for f in flags)
        note = " (surrogate)" if o.surrogate else " (whole batches)" if o.batchwise else ""
        own = [c for c in columns_of(o) if c not in REQUIRED[o.inputs]]
        columns = ", ".join(c.replace("|", " or ") for c in own)
        lines.append(
            f"| `{o.name}`{note} | {o.inputs} | {columns} | {marks} | {'; '.join(options)} |"
        )
    return lines


def short(piece: Piece) -> str:
    """The path without the name of this package."""
    return piece.target.removeprefix("alignment.")


def untested(pieces: Iterable[Piece], tests: dict[str, set[str]]) -> list[str]:
    """Functions no test names."""
    return [short(p) for p in pieces if key(p) not in tests]


def _tests(piece: Piece, tests: dict[str, set[str]]) -> str:
    return ", ".join(sorted(tests.get(key(piece), ())))


def main() -> None:
    """Print the page, or write it in its place."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    if parser.parse_args().write:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
