"""Archives: many files in one run that can be interrupted, and taken up again."""
