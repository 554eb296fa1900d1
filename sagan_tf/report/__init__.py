"""Reports and plots of one run, or of several side by side."""
