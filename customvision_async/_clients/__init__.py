"""The clients: one of a training resource, one of a prediction resource."""
