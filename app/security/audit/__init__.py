"""The audit trail: a tamper-evident file of all requests and events that change the service."""
