"""The report of a run: one HTML page, made of the run's records.

`records.py` reads them, each file of `sections/` makes the plain parts (`parts.py`) of one section, `template.html` writes all
parts alike, and escapes whatever is text.
"""
