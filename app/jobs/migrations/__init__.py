"""Changes to the schema of the job table, run by alembic."""
