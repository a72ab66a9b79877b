"""The scenarios that are verified by tests before a release."""

from quality.scenario import Scenario

S1 = Scenario(
    id="S1",
    title="Forged forms",
    source="A page of another site, open in the browser of a buyer or staff member",
    stimulus="Submits one of the shop's forms on that person's behalf",
    environment="The person is logged in to the shop",
    artifact="Every form of the shop",
    response="The form is rejected with 403 and an explanation; nothing changes",
    measure="No form without the shop's CSRF token changes a row of any table",
    proofs=(
        "tests/retail/web/test_problems.py::test_a_form_without_csrf_token_is_refused",
        "tests/cart/test_pages.py::test_cross_site_forms_are_refused",
        "tests/payments/test_admin.py::test_forcing_requires_a_csrf_token_and_permission",
        "tests/retail/web/test_problems.py::test_an_unknown_host_is_refused",
    ),
)
S2 = Scenario(
    id="S2",
    title="Roles",
    source="A visitor, a customer, or a staff member without permission",
    stimulus="Opens a page or submits a form without having access",
    environment="Normal operation",
    artifact="Orders, profiles, staff pages and the admin",
    response="Visitors are redirected to the login page; others are denied access",
    measure="Nobody sees or changes data they have no access to",
    proofs=(
        "tests/orders/test_views.py::test_another_customers_order_is_404",
        "tests/orders/test_views.py::test_anonymous_visitors_are_asked_to_log_in",
        "tests/accounts/test_pages.py::test_registration_never_creates_staff",
        "tests/cart/test_pages.py::test_customers_do_not_see_each_others_carts",
        "tests/oncall/test_pages.py::test_only_staff_have_access",
        "tests/retail/test_admin.py::test_staff_without_permission_see_nothing",
        "tests/retail/test_admin.py::test_view_permission_allows_nothing_else",
    ),
)
M1 = Scenario(
    id="M1",
    title="A new feed format",
    source="A new partner",
    stimulus="Delivers its products in a format that the shop does not support yet",
    environment="Development",
    artifact="The feed readers",
    response="The format gets its own reader",
    measure="One new module; no change to validation, import or other formats",
    proofs=(
        "tests/partner_feeds/test_new_format.py::test_one_new_file_is_a_new_format",
        "tests/partner_feeds/test_formats.py::test_a_format_is_added_by_registering_it",
    ),
)
M2 = Scenario(
    id="M2",
    title="Isolated business rules",
    source="A developer",
    stimulus="Changes a rule: who may buy, when the breaker opens, what changes stock",
    environment="Development",
    artifact="The services of the shop's apps",
    response="The change stays within one service; pages, commands and jobs use it",
    measure="No service depends on pages, one module changes stock, and each threshold is defined "
    "once",
    proofs=(
        "tests/contracts/test_architecture.py::test_services_do_not_import_pages",
        "tests/contracts/test_architecture.py::test_only_one_module_changes_stock",
        "tests/contracts/test_thresholds.py::test_a_changed_value_changes_its_places",
        (
            "tests/contracts/test_thresholds.py"
            "::test_no_old_number_is_shown_when_all_values_have_changed"
        ),
        "tests/payments/test_breaker_machine.py::test_the_breaker_matches_the_model_under_any_history",
    ),
)
T1 = Scenario(
    id="T1",
    title="Simulated gateway faults",
    source="A developer or a tester",
    stimulus="Wants to see how the shop reacts when the gateway declines, hangs, fails or loses a "
    "response",
    environment="Development, tests and drills, without a real gateway",
    artifact="The gateway simulator and the shop's gateway client",
    response="Each fault can be switched on, takes effect, and can be switched off again",
    measure="The tests trigger every kind of fault on demand and check its effect",
    proofs=(
        "tests/gateway_simulator/test_faults.py::test_knobs_are_set_in_part_and_reset",
        "tests/gateway_simulator/test_process.py::test_lost_answer_is_charged_once",
        (
            "tests/payments/test_gateway_client.py"
            "::test_a_failed_call_raises_no_answer_and_the_key_keeps_it_one_charge"
        ),
        (
            "tests/running/test_running_shop.py"
            "::test_a_gateway_that_is_off_opens_the_breaker_and_one_that_is_back_closes_it"
        ),
    ),
)
T2 = Scenario(
    id="T2",
    title="Provoked races",
    source="A developer",
    stimulus="Changes something that two requests may do concurrently",
    environment="Development",
    artifact="Reservation, settlement and the breaker, under threads and processes",
    response="A test provokes the race and fails if the result is wrong",
    measure="Without the guard, the same tests fail, so they can detect the race",
    proofs=(
        ("tests/orders/test_races.py::test_without_the_guard_the_same_race_hits_the_constraint"),
        "tests/orders/test_races.py::test_one_form_submitted_twenty_times_at_once_places_one_order",
        "tests/orders/test_races.py::test_two_workers_never_claim_the_same_payment",
        (
            "tests/products/test_stock.py"
            "::test_the_ledger_always_equals_the_stock_and_nothing_is_oversold"
        ),
    ),
)
U1 = Scenario(
    id="U1",
    title="Error messages",
    source="A visitor",
    stimulus="Does something that cannot work, or encounters a failure of the shop",
    environment="Normal operation, or the database is down",
    artifact="Every page and form",
    response="Explains what happened and what to do, with a reference for support",
    measure="No traceback and no bare error page; every error shows its request id",
    proofs=(
        (
            "tests/retail/web/test_problems.py"
            "::test_every_error_page_has_its_message_and_the_request_id"
        ),
        (
            "tests/retail/web/test_problems.py"
            "::test_an_unavailable_database_is_a_503_without_traceback_even_with_debug"
        ),
        "tests/orders/test_views.py::test_sold_out_is_409_with_an_explanation_and_the_cart_is_kept",
        "tests/orders/test_refusals.py::test_every_refusal_shows_its_reference",
    ),
    runbooks=("RetailErrorRateHigh",),
)
U2 = Scenario(
    id="U2",
    title="Payment unavailable",
    source="A buyer",
    stimulus="Places an order while payments are unavailable",
    environment="The gateway is down and the breaker is open",
    artifact="The checkout",
    response="Fails fast, keeps the cart, says when to try again, and accepts the same form again",
    measure="503 with the seconds to wait; cart and stock unchanged",
    proofs=(
        (
            "tests/orders/test_views.py"
            "::test_an_open_breaker_is_503_with_the_time_to_wait_and_timed_as_a_fast_fail"
        ),
        "tests/orders/test_checkout.py::test_an_open_breaker_refuses_before_anything_is_reserved",
    ),
    runbooks=("RetailCircuitBreakerOpen",),
)
