"""Tests of the hosted service."""
