"""What routes take and give, as pydantic models."""
