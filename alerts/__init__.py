"""The alert rules: written by Python (build.py), rendered for an installation (render.py)."""
