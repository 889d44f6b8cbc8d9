"""A cluster of Ray's: its address, how a process gets in, and Ray's environment."""
