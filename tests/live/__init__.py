"""Tests of the live half, and the rig that they share."""
