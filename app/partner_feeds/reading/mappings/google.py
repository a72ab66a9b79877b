"""Google Merchant: RSS 2.0, Atom, or a text file with the same names.

https://support.google.com/merchants/answer/7052112. There is no number of units: "in stock" says
nothing of it, everything else means 0. The regular price is read, `sale_price` is not.
"""

from partner_feeds.reading.mapping import Mapping

G = "{http://base.google.com/ns/1.0}"
ATOM = "{http://www.w3.org/2005/Atom}"

MAPPING = Mapping(
    name="google",
    fields={
        "sku": (f"{G}id", "id"),
        "name": (f"{G}title", "title", f"{ATOM}title"),
        "description": (f"{G}description", "description", f"{ATOM}summary", f"{ATOM}content"),
        "category": (f"{G}product_type", "product type"),
        "ean": (f"{G}gtin", "gtin"),
        "price": (f"{G}price", "price"),
        "availability": (f"{G}availability", "availability"),
    },
    elements=("item", f"{ATOM}entry"),
)
