"""Starting an instance: `python -m config.launch` checks, prepares and supervises it."""
