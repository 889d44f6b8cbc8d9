"""Devices of the machine: cameras, virtual cameras, and who is watching them."""
