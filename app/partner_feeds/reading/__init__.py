"""Reads a partner's file row by row. Knows neither Django nor the database.

unpack (gzip, limits) → format (CSV, JSON, XML: records of cells) → mapping (which cell is what)
→ values (prices, stock, keys, text) → Item or Reject. A FeedError refuses the whole file.
"""
