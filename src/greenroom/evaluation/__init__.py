"""Models and mattes measured on labelled data."""
