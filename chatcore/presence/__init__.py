"""Who is there and who is typing: leases in memory, so that nothing can stick."""
