"""Sockets and HTTP: what carries commands in and events out."""
