"""Run the command line as ``python -m service``, which is also the image's entry point."""

from service.cli import main

if __name__ == "__main__":
    main()
