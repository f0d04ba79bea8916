"""The clients of training and prediction resources."""
