"""Scripts that make and measure the files in `chatcore/models/data`: `python -m training.moderation` and others."""
