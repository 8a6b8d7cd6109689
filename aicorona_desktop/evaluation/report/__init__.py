"""The paper's tables and figures from the files of a study, as one report."""
