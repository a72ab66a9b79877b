#!/usr/bin/env python
"""Django's command line for the shop."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] == ["worker"]:
        # The worker is several processes. prometheus_client chooses its kind of storage when it is
        # imported, so the choice has to be made before Django imports anything.
        from config.processes import limit_database_waits, use_metric_files  # noqa: PLC0415

        use_metric_files("worker")
        limit_database_waits("worker")
    from django.core.management import execute_from_command_line  # noqa: PLC0415

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
