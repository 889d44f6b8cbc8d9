"""Tests with a cluster of Ray's."""
