"""Whether products look as they should: questions of a report, answered from its files, each with its numbers.

A verdict that fails stops nothing by itself; who asks decides what follows from it. `files` asks whether everything is
there and whole, `images` about cameras and showers, `rates` about the sky, `forests` about training, `physics` about
what physics is done with, `nights` about catalogue, runbooks and archive.
"""
