"""The training process: `python -m alignment.trainer RUN_DIR`. See README.md in this folder."""
