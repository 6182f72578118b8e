"""Use-cases of alignment: snapshots, runs, rounds, releases."""
