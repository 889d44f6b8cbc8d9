"""Cameras, virtual cameras, and the interfaces to the system that they need."""
