"""The window: all Qt there is. Views decide nothing; threads and what crosses them live in `jobs.py`."""
