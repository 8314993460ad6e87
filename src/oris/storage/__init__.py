"""Where state is kept: one protocol, one implementation per database."""
