"""Run the command line as ``python -m tmcir``."""

from tmcir.cli import main

if __name__ == "__main__":
    main()
