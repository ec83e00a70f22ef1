"""Declarative evaluation jobs: notebooks run by papermill, judged by gates, kept with their reports."""
