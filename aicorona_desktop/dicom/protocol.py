"""What reader and client say to each other in frames."""
