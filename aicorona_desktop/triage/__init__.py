"""Joins intake, dicom, model and history: one study from files to a ranked row."""
