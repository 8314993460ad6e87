"""What operators see: logs, metrics, traces. Knows nothing of the store."""
