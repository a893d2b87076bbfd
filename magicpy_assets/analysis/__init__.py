"""The notebook's front: Source, Off, MC and the fast analysis."""
