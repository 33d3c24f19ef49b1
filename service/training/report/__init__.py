"""Draw up the report of a model version: one HTML file that needs no network."""
