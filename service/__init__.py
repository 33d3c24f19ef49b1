"""Turn a CSV of customers into a segmentation service that runs alike on a laptop and on Amazon SageMaker."""

__version__ = "0.1.0"
