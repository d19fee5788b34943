"""`python -m agent`: the same as `normline`."""

from agent.cli import main

if __name__ == "__main__":
    main()
