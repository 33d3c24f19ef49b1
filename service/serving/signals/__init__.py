"""Count what the server does, and show it: /metrics for monitoring, /live for the console, a log, traces."""
