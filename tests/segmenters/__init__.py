"""Tests of what finds the person in a frame."""
