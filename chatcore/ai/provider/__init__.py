"""Calls to models: one OpenAI HTTP path with a ladder of endpoints, breakers, deadlines, budgets and switches."""
