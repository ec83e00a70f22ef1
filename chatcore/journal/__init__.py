"""A group's log: every message, edit, deletion, reaction, pin and change of membership, numbered without holes.

The journal assigns `seq`, commits durably, settles what a lost connection left open, and delivers in order. It knows
nothing of who may do what; it asks again (`authorize`) where another process got in first.
"""
