"""Clients work under every setting of the emulator's switches: a core of work, and the settings it
is done under.
"""
