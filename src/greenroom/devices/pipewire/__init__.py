"""A PipeWire camera through the C library, and the count of its readers."""
