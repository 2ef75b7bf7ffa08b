"""One version without a service: whole files of rows in, files of predictions out."""
