"""Leaderboards from side-by-side votes: Bradley-Terry with ties, style, intervals, pair choice.

No Django here. numpy only, so that a web process may import it; everything takes and returns
plain arrays and dataclasses, usable in a notebook.
"""
