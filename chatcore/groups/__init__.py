"""Groups and who belongs to them: creating, joining, roles, invitations, bans, read state, and the group as people see it."""
