"""Request and response bodies as pydantic models and OpenAPI schemas."""
