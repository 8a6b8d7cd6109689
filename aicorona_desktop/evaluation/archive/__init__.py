"""Scoring more studies than one queue holds: an archive of any size, by several workers, each study exactly once."""
