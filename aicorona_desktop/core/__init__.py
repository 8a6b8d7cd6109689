"""The product's words as frozen values; imports numpy and platformdirs alone."""
