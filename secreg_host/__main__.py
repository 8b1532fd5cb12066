"""python -m secreg_host"""

import sys

from secreg_host.entry import main

sys.exit(main())
