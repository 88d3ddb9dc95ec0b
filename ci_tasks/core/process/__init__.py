"""Processes: starting them, what they get, what they print, and the end of all their children."""
