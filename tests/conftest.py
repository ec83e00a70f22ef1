"""Shared by all tests; each area keeps its fixtures in its own folder."""
