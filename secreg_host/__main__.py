"""python -m secreg_host"""

import sys

from secreg_host.cli import main

sys.exit(main())
