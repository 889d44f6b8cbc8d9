"""Conversion of files, and recording of room plates."""
