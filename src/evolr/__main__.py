"""`python -m evolr`."""

from evolr.cli import main

if __name__ == "__main__":
    main()
