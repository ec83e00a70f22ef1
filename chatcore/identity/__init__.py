"""Who calls: tokens, accounts, sessions, the directory of people, and when a connection must end."""
