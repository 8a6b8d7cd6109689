"""The reader process: the only code that parses foreign bytes."""
