"""The physics: arrays in, arrays out, units in the signature. Knows no file and no program."""
