"""Tests of archives in a cluster."""
