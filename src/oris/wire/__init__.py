"""The JSON of the API: what requests must look like, what answers look like. Nothing here is a core type."""
