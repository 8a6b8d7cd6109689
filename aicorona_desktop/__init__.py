"""CT chest triage on one workstation: research use, not a diagnosis."""

__version__ = "0.1.0"
