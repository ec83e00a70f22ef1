"""Suggestions to one person: smart replies, typing suggestions, and what became of them."""
