"""What is freed stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Six blocks of a megabyte at once, ten times: the pages that the system is asked for on the way.
_PAGES = """
import resource
import numpy as np
from smartcover.engine.memory import keep_freed_memory
{call}
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _round in range(10):
        blocks = [np.ones(2**17) for _block in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep or return memory as they please")
def test_arrays_of_one_picture_are_made_of_the_memory_of_the_last() -> None:
    asked, kept = (
        int(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout)
        for script in (_PAGES.format(call=""), _PAGES.format(call="keep_freed_memory()"))
    )
    assert kept < asked / 10
