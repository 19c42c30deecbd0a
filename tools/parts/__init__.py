"""The parts of the documents that tell committed results: a function a part, from the repository's
root to its text.

What `tools/update_readme.py` writes between two marks comes from here. `committed` reads files and
writes cells; `results`, `proof`, `ablation`, `analysis`, `speed`, `study` and `system` have a
function for each part, in English; `korean` makes the Korean of it. `plain` has both languages.
"""
