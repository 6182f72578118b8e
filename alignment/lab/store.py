"""Finished seeds of a claim on disk, by what decides them: configuration and the lab's code."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import sys
from pathlib import Path
from types import ModuleType

from alignment.lab import proxy, tongue
from alignment.lab.claims.base import Claim, Record


def key(claim: Claim) -> str:
    """Twelve hex digits of the claim's configuration, of what its module measures with and of the
    shared world; how it is judged and drawn may change without a new run.
    """
    parts = [json.dumps(claim.settings(), sort_keys=True)]
    parts += [_code(m) for m in (tongue, proxy, sys.modules[claim.measure.__module__])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _code(module: ModuleType) -> str:
    """The statements of a module that results depend on."""
    tree = ast.parse(inspect.getsource(module))
    tree.body = [node for node in tree.body if not _of_report(node)]
    return ast.unparse(tree)


def _of_report(node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef):
        return node.name.lstrip("_").startswith(("judge", "draw"))
    return isinstance(node, ast.Assign) and _names(node) == {"CLAIMS"}


def _names(node: ast.Assign) -> set[str]:
    return {target.id for target in node.targets if isinstance(target, ast.Name)}


def place(folder: Path, claim: Claim, seed: int) -> Path:
    """The file of a seed."""
    return folder / "seeds" / claim.name / key(claim) / f"{seed}.json"


def read(folder: Path, claim: Claim, seed: int) -> Record | None:
    """A finished seed, or None."""
    try:
        return json.loads(place(folder, claim, seed).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write(folder: Path, claim: Claim, seed: int, record: Record) -> None:
    """Keep a finished seed; the file appears whole or not at all."""
    path = place(folder, claim, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(record), encoding="utf-8")
    draft.replace(path)
