"""The engine: a frame in, the same frame with another background out."""
