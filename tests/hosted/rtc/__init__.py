"""Tests of one WebRTC connection."""
