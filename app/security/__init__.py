"""Authentication, authorisation, rate limits and the audit trail.

This package must not know models or training.
"""
