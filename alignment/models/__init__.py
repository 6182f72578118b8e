"""From judgments to models: snapshots, runs, rounds, and every decision with its numbers."""

from alignment.models.decisions import Decision
from alignment.models.rounds import Round
from alignment.models.runs import Run
from alignment.models.snapshots import Snapshot

__all__ = ["Decision", "Round", "Run", "Snapshot"]
