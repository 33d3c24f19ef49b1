"""Ship image and models to Amazon SageMaker, and take everything away again; only this room knows boto3."""
