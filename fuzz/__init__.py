"""Throw a million bad inputs at everything that reads what others wrote: `python -m fuzz`."""
