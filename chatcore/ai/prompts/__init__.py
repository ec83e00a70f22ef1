"""Prompt versions: content-addressed BAML text with parameters, and the states that people move them through."""
