"""What a conversation holds: summary, topics, tasks, mood; and tone, language and translation of one text."""
