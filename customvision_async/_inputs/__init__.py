"""Normalize and inspect the images that callers give."""
