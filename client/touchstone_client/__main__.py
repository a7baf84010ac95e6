"""`python -m touchstone_client`: the `touchstone` command."""

from touchstone_client.cli import main

if __name__ == "__main__":
    main()
