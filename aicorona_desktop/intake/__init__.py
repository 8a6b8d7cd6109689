"""Notices, settles, hashes and keeps files."""
