"""The words of the analysis: levels, periods, cells, runs, settings, errors. Reads nothing but its own tables."""
