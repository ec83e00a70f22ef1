"""Notices to people who are not connected: Web Push (RFC 8030) with VAPID (RFC 8292), encrypted by RFC 8291."""
