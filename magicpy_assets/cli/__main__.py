"""`python -m magicpy_assets.cli …` is `magicpy …`."""

import sys

from magicpy_assets.cli import main

if __name__ == "__main__":
    sys.exit(main())
