"""Evaluation: quality of mattes on labelled data, and live benchmarks."""
