"""Training and export of model packs (extra, not shipped)."""
