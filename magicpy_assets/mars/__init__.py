"""MARS programs as Python objects, and where they are installed. Drives the engine by its command line only."""
