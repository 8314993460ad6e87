"""A store in the memory of one process: plain dicts of frozen rows.

It is the readable second implementation of `Store`: what a store has to do is said here without SQL, and the
conformance suite holds both to it. Tests use it too, those of the rules always, those of the engine on request. It is
no store for a server: what it holds ends with the process, and much of what it reads it looks through all rows for.

Begin with `tables` (the rows), then `store` (a transaction); `load` and `write` are its two halves.
"""
