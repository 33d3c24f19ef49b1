"""Check any container or server against SageMaker's contract, from outside, whatever runs in it."""
