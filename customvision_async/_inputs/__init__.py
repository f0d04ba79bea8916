"""What a caller may give as an image, normalized in one place."""
