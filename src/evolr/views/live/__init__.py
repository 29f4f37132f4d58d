"""The pages of `evolr serve`: studies as they are now, and while they run.

`sections.py` makes the plain parts of each (page/parts.py), `pages.py` writes them, by the same macros as the report's. What changes on a page is
its sections: each is written again when what it shows is another.
"""
