"""Live: a camera in, a virtual camera, a page and others out, and never the room by accident."""
