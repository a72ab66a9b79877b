"""The sample products."""

from decimal import Decimal
from typing import NamedTuple

CATEGORIES = {
    "Electronics": "electronics",
    "Clothing": "clothing",
    "Books": "books",
    "Home & Garden": "home-garden",
}


class Sample(NamedTuple):
    """A sample product, with prices in the shop's currency."""

    slug: str
    name: str
    category: str
    price: Decimal
    stock: int
    description: str
    flash_price: Decimal | None = None


SAMPLES = (
    Sample(
        "aurora-wireless-headphones",
        "Aurora Wireless Headphones",
        "Electronics",
        Decimal("129.00"),
        400,
        "Over-ear headphones with noise cancelling that you can switch on. Thirty hours on one "
        "charge, and a case that fits the bag you already have.",
        Decimal("89.00"),
    ),
    Sample(
        "pulse-smartwatch",
        "Pulse Smartwatch",
        "Electronics",
        Decimal("179.50"),
        250,
        "Counts steps, lengths and heartbeats, and shows the time without being asked.",
    ),
    Sample(
        "lumen-desk-lamp",
        "Lumen Desk Lamp",
        "Electronics",
        Decimal("59.90"),
        300,
        "A warm light for late pages, a cool one for early e-mails. Dims with a turn of the hand.",
    ),
    Sample(
        "harbour-rain-jacket",
        "Harbour Rain Jacket",
        "Clothing",
        Decimal("98.00"),
        350,
        "Waterproof, breathable, and packed into its own pocket by the time the sun is back.",
    ),
    Sample(
        "merino-crew-sweater",
        "Merino Crew Sweater",
        "Clothing",
        Decimal("74.00"),
        300,
        "Fine merino wool that is warm in the shade and easy in the sun.",
    ),
    Sample(
        "canvas-day-sneakers",
        "Canvas Day Sneakers",
        "Clothing",
        Decimal("64.50"),
        500,
        "Organic canvas, natural rubber, and room for the whole foot.",
        Decimal("44.50"),
    ),
    Sample(
        "the-quiet-sea",
        "The Quiet Sea",
        "Books",
        Decimal("18.00"),
        600,
        "A novel about a lighthouse keeper who stops writing the log, and what the sea does next.",
    ),
    Sample(
        "cooking-with-fire",
        "Cooking with Fire",
        "Books",
        Decimal("32.00"),
        400,
        "Ninety recipes over wood and charcoal, from bread to pears.",
        Decimal("24.00"),
    ),
    Sample(
        "stoneware-teapot",
        "Stoneware Teapot",
        "Home & Garden",
        Decimal("46.00"),
        300,
        "Holds a litre, pours without a drip, and keeps tea warm for an hour.",
    ),
    Sample(
        "olive-tree",
        "Olive Tree in a Pot",
        "Home & Garden",
        Decimal("39.00"),
        300,
        "Two years old, eighty centimetres tall, happy on a balcony that sees the sun.",
    ),
)
