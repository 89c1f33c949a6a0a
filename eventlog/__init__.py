"""The write side: what happened, and how it is kept. README.md tells the life of an event; FORMAT.md every byte."""

__version__ = "0.1.0"
