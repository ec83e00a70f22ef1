"""Images and files: taken in, looked at in a process of their own, sealed, stored, read in ranges, swept.

What is promised. A row that people can see has its objects in the store; an object without a visible row is named by a
row that the sweep will find. The type of a file is what decoding says, never its name. Nothing here decides who may:
`messages/attachments.py` does, where groups and messages are known.
"""
