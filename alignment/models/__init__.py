"""From judgments to models: snapshots, runs, rounds, and every decision with its numbers."""

from alignment.models.decisions import Decision
from alignment.models.devices import Device
from alignment.models.experiments import Experiment
from alignment.models.rounds import Round
from alignment.models.runs import Run
from alignment.models.snapshots import Snapshot
from alignment.models.triggers import Firing, Rule

__all__ = ["Decision", "Device", "Experiment", "Firing", "Round", "Rule", "Run", "Snapshot"]
