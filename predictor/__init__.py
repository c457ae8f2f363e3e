"""The KServe predictor: maps a prepared model, proves that it answers right, and serves it."""
