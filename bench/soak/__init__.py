"""Keep a server under load for long: errors, memory, latency, connections."""
