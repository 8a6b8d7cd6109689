"""Statistics, tables, figures and the reader study."""
