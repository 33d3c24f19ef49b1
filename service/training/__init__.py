"""Turn customer files into a model artifact. May be heavy; only this room knows scikit-learn and Arrow."""
