"""A page in the browser that shows what a run generates and attends to."""
