"""Moderation: one decision for every text, a queue for people, appeals, and a log of what people did."""
