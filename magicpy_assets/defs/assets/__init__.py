"""One short file of assets for each data level."""
