"""The KServe predictor: maps a prepared model, checks its answers and serves it."""
