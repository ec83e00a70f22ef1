"""Conversations for research: of groups and people who agreed, under pseudonyms, and for a time."""
