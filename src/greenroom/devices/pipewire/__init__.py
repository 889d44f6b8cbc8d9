"""PipeWire: a camera in it, by its C library, and who looks at that."""
