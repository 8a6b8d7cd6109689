"""The composition root: builds every part once."""
