"""What carts store of a person."""

from cart.models import Cart, CartItem
from retail.personal_data import PersonalData, register, rows

register(
    PersonalData(
        section="cart",
        models=["cart.Cart", "cart.CartItem"],
        export=lambda user_id: rows(
            CartItem.objects.filter(cart__user=user_id),
            *("product__name", "quantity", "cart__updated_at"),
        ),
        erase=lambda user_id: Cart.objects.filter(user=user_id).delete(),
        left="nothing",
        kept="a year after the last change; a visitor's, 30 days",
    )
)
