"""The record of what changed the service: a file that shows when it was changed."""
