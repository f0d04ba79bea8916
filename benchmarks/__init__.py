"""Measure the speed of the package beside others: ``python -m benchmarks``. See README.md."""
