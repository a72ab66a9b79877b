"""What the benchmarks share: a cheap HTTP client, servers, buyers, tables."""
