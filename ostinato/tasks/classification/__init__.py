"""Classification: one label for each sequence."""
