"""The command line: a command a module, imported when it runs."""
