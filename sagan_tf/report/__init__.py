"""What became of runs: a page and plots of one run, or of several side by side."""
