"""Takes over the data of the original Node.js service: its users, groups and messages, from its database into ours."""
