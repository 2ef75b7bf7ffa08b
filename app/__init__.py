"""The service, from a request to a response; it must not know `training`."""
