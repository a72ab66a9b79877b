"""Alert rules: generated from Python (build.py) and rendered for an installation (render.py)."""
