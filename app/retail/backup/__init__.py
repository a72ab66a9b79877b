"""Backups of the database: made, checked, restored and measured (docs/backups.md)."""
