"""`evolr serve`: the studies of a folder as pages in a browser, as they are now and while they run. It reads, and writes nothing.

`folder.py` says which studies there are, `readers.py` reads one again when it has changed, `feed.py` keeps what was read for all who look,
`stream.py` pushes it, `guard.py` lets in who may look, `application.py` answers, `serving.py` listens.
"""
