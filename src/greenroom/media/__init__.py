"""Frames, mattes, pictures and media files."""
