"""Display arithmetic and synthetic anatomy, pure numpy."""
