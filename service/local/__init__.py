"""Be a SageMaker that runs on this machine: its control plane and its runtime, on loopback."""
