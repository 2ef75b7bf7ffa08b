"""Quality of answers on many tables, beside other libraries; see docs/quality.md."""
