"""Measurements on this machine: `python -m bench`, or one part alone: `python -m bench http`."""
