"""Messages: send, edit, delete, react, pin, read, report, history and `sync`."""
