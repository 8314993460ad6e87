"""The engine: one task commits, everything else asks and waits."""
