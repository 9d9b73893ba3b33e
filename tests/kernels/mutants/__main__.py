"""``python -m tests.kernels.mutants``."""

import sys

from tests.kernels.mutants.run import main

sys.exit(main())
