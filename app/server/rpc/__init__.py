"""The Open Inference Protocol over gRPC, as requests to the app; it must not know models."""
