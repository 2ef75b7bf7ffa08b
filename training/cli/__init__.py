"""The command line: commands, their options, and terminal output."""
