"""Several server processes over one Redis: what one stores or sees, the others push to their clients at once.

Redis is a hint and is not trusted. Everything on it is sealed, so that it can neither be read, forged, nor usefully
replayed there; whatever does not arrive is found in the database. No send ever waits for it.
"""
