"""Answer SageMaker's contract over HTTP. Light: numbers in, numbers out; nothing here knows scikit-learn."""
