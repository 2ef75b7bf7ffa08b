"""The command line: commands, options, output; it must not know how a learner learns."""
