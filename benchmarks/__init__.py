"""How fast this is, and beside what: `python -m benchmarks.run` (or `make bench`).

Writes benchmarks/results.json and benchmarks/profile.csv; tools/update_readme.py makes a table of
them. Both sides of each comparison run in one process, in turns, with the threads set as the stages
set them, which helps the reference too.
"""

import stages  # noqa: F401  (sets torch's threads before torch is imported)
