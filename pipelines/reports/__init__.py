"""What people and machines read of a run: HTML, Markdown, JUnit."""
