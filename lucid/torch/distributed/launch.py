"""``torch.distributed.launch``, the former name of ``torch.distributed.run``."""

import sys

from lucid.torch.distributed.run import main as main

if __name__ == "__main__":
    sys.exit(main())
