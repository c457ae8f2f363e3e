"""TODO: predictor/grpc."""
