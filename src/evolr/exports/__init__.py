"""What is handed over: a schedule as a file of code that needs no evolr."""
