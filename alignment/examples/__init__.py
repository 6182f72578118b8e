"""Short scripts that use the core without Django; each takes about a minute on a processor."""
