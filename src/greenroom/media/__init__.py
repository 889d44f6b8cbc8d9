"""Frames, pictures and files: what everything else is made of."""
