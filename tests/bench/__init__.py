"""Benchmarks: `python -m tests.bench PART ...`, which is what `make bench` runs."""
