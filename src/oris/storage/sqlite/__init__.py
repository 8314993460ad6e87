"""SQLite: the embedded store. `store.SqliteStore` is the way in."""
