"""What arrays hold, named once; and the light and colours of pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

Picture = Bytes
"""RGB, rows x columns x 3."""

LUMA: Floats = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
"""RGB to luma (ITU-R BT.709)."""

OPPONENT: Floats = np.array([[0.2126, 1.0, 0.5], [0.7152, -1.0, 0.5], [0.0722, 0.0, -1.0]], dtype=np.float32)
"""RGB to luma, red against green, yellow against blue."""
