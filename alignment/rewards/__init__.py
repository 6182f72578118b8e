"""Reward models on frozen features: losses, features, heads. Importing a submodule loads torch,
this package does not.
"""
