"""How fast it is, beside what else there is: ``python -m benchmarks``. See README.md."""
