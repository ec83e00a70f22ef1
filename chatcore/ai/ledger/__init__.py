"""The decision ledger: what was asked of a model, who answered what, and what people made of it."""
