"""The words of the analysis: levels, periods, cells, runs, settings, errors. No input or output beyond its own tables."""
