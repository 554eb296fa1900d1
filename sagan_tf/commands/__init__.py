"""One thin file a command: flags, and one call."""
