"""The sections of the report: each a function from a run's records to plain parts. None where there is nothing to say."""
