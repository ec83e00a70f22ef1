"""Groups and who belongs to them: creating, joining, roles, invitations, bans, read state, and how it all looks."""
