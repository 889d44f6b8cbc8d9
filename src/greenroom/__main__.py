"""Lets ``python -m greenroom`` run the command."""

from greenroom.cli import main

main()
