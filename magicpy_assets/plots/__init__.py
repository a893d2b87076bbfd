"""Seeing: figures, tables, progress bars. What is simulated is stamped here, once."""
