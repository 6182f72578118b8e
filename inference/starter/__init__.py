"""The starter policy: a small chat model made by our own script and kept in the repository.

Imports neither Django nor torch, so a web process can read where the weights lie.
"""

from pathlib import Path

WEIGHTS: Path = Path(__file__).resolve().parent / "weights"
"""Folder of the committed model in Hugging Face form (safetensors, tokenizer, chat template)."""

__all__ = ["WEIGHTS"]
