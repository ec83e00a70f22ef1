"""Search on recorded conversations: the server's own indexes and ranking, and the server itself."""
