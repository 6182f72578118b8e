"""Preference training beside TRL: the same model, rows, order and precision, each run a process."""
