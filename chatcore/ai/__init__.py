"""AI features: text in, values out. Nothing here knows how messages are stored or sent."""
