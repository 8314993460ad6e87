"""The rules of Oris, pure: facts in, decisions out. No clock, no randomness, no I/O, no Trio."""
