"""Finding messages by words and by meaning, and answering from them.

The message documents are the truth. What is here in memory (word index, matrix of vectors) is made from them, group by
group, and follows each group's log; losing it costs the time to read it again.
"""
