"""One file per family of routes. A handler parses, asks the engine, and shows what came of it."""
