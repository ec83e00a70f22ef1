"""Servers that chatcore runs itself, as child processes, where none is configured."""
