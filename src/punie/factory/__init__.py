"""The factory: from real repositories to training data, adapters, models and verdicts."""
