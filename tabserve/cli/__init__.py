"""The command line `tabserve ...`; a command imports what serves or trains on demand."""
