"""Diagnosis: checks of everything that greenroom needs, with fixes."""

from __future__ import annotations

from greenroom.doctor.checks import each_finding, run_checks
from greenroom.doctor.finding import Finding, Status
from greenroom.doctor.system import Answer, System

__all__ = ["Answer", "Finding", "Status", "System", "each_finding", "run_checks"]
