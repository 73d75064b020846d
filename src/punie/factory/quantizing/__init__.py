"""Stage `quantize` in parts: levels, what is left of the update, divergence, rule, report."""
