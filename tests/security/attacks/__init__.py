"""What the attacker tries, by what it is after. Each attempt says how it was refused."""
