"""From bytes to Hounsfield units."""
