"""From files of rows to files of predictions; it must not know HTTP or a service."""
