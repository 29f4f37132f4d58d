"""What is shown: tables for the terminal, pictures."""
