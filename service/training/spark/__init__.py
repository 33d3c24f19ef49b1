"""Train by Spark where customers do not fit one machine: by SQL expressions alone, no Python in the loop.

Nothing else imports this room but the commands that are told `--engine spark`.
"""
