"""The checks and probes of ``customvision doctor``."""
