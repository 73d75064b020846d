"""From an intent to a checked example: slots, wording, running it, the second way, repairs."""
