"""The security checklist: each rule, and the tests that verify it.

``python -m tests.security_checklist`` writes docs/security.md. A test checks that the page is
current and that each test named here exists.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "security.md"

RULES: list[tuple[str, str, dict[str, str]]] = [
    (
        "S1",
        "The key is in no log, exception, repr, traceback, report or event.",
        {
            "test_security_client": "test_no_fault_brings_the_key_to_light"
            " test_a_client_that_cannot_be_made_does_not_show_the_key",
            "test_security_transport": "test_s1_the_key_is_in_no_log_event_or_traceback"
            " test_s1_the_key_is_in_no_traceback_of_a_cancelled_request",
            "cli/test_display": "test_debug_logs_requests_and_never_the_key",
            "cli/test_usage": "test_a_wrong_key_says_so_and_never_shows_it"
            " test_a_broken_env_file_is_told_without_its_contents",
        },
    ),
    (
        "S2",
        "A credential shows stars: repr, str, format, vars; it is not copied or pickled.",
        {
            "test_security_client": "test_a_credential_cannot_be_carried_away",
            "transport/test_credentials": "test_a_key_never_shows"
            " test_a_key_cannot_be_taken_away"
            " test_a_header_cannot_be_pickled",
        },
    ),
    (
        "S3",
        "https only; http only for a literal loopback address.",
        {
            "transport/test_credentials": "test_an_endpoint_that_could_give_the_key_away_is_refused"
            " test_whatever_is_accepted_is_safe"
        },
    ),
    (
        "S4",
        "No redirect is followed: the other host sees no request.",
        {
            "test_security_transport": "test_s4_no_redirect_is_followed",
            "project/test_exports_download": "test_redirects_and_encodings_are_refused",
        },
    ),
    (
        "S5",
        "The key is in its header only; proxies and netrc of the environment are not used.",
        {
            "test_security_transport": "test_s5_the_key_is_in_its_header_alone"
            " test_s5_proxies_and_netrc_of_the_environment_are_not_used",
        },
    ),
    (
        "S6",
        (
            "Files are downloaded without the key, from known hosts, and never from private "
            "addresses, whatever a name resolves to."
        ),
        {
            "project/test_exports_download": "test_addresses_that_are_not_read_from"
            " test_addresses_that_a_name_may_lead_to"
            " test_a_name_that_leads_inside_is_not_connected_to test_hosts_that_can_be_added"
        },
    ),
    (
        "S7",
        "Signatures in links are not logged.",
        {"project/test_exports_download": "test_no_signature_is_logged"},
    ),
    (
        "S8",
        "Responses are limited in size, after decompression, and in time.",
        {
            "test_security_transport": "test_s8_an_answer_without_end_is_cut_off",
            "transport/test_aiohttp": "test_a_compressed_answer_is_read_within_its_bound",
            "project/test_exports_download": "test_an_image_that_never_ends_is_refused"
            " test_a_host_that_hangs_is_given_up",
        },
    ),
    (
        "S9",
        "Any response is either decoded or raises DecodeError.",
        {
            "wire/test_responses": "test_any_bytes_are_read_or_refused_in_our_way"
            " test_any_json_is_read_or_refused_in_our_way"
            " test_any_error_body_makes_an_error",
            "test_faults_bad_data": "test_no_body_can_do_worse_than_a_decode_error"
            " test_json_of_the_worst_sort",
        },
    ),
    (
        "S10",
        "Only the header of an image is parsed; images are never decoded.",
        {
            "test_sources": "test_a_folder_gives_its_images_by_content_in_the_order_of_names"
            " test_the_limits_themselves_are_allowed"
        },
    ),
    (
        "S11",
        "A downloaded file is complete or absent, and written only where the caller says.",
        {
            "project/test_exports_download": "test_where_a_file_goes_is_looked_at_first"
            " test_a_download_that_is_given_up_leaves_nothing"
        },
    ),
    (
        "S12",
        (
            "Links are not followed, only regular files are read, and the inspected file is the "
            "one that is sent."
        ),
        {
            "test_sources": "test_what_is_no_regular_file_is_skipped_and_nothing_hangs"
            " test_files_that_change_between_the_look_and_the_sending",
            "transport/test_body": "test_a_file_that_is_not_as_it_was_planned_is_named",
        },
    ),
    (
        "S13",
        "TLS 1.2 or later, certificates verified, and no way to turn that off.",
        {
            "test_security_transport": "test_s13_a_trusted_certificate_is_accepted"
            " test_s13_what_is_not_to_be_trusted_is_refused"
            " test_s13_nothing_switches_verification_off"
        },
    ),
    (
        "S14",
        "Line breaks and NUL in names, keys and text are refused before a byte is sent.",
        {
            "test_security_transport": "test_s14_a_line_break_is_refused_before_a_byte_is_sent",
            "wire/test_request": "test_line_breaks_are_refused_in_every_text",
            "wire/test_bodies": "test_multipart_refuses_names_that_would_break_out",
            "cli/test_usage": "test_nothing_that_is_shown_can_move_the_cursor_or_turn_the_text",
        },
    ),
    ("S15", "HTML reports are escaped: none is written.", {}),
    ("S16", "CSV cells cannot be formulas: no CSV is written.", {}),
    (
        "S17",
        "Files are readable by their owner only; no pickle, yaml or eval (ruff's rules S).",
        {"test_security_checklist": "test_files_are_for_their_owner_alone"},
    ),
    (
        "S18",
        "aiohttp has the fixes a client needs: 3.14.3 or later.",
        {"test_security_checklist": "test_the_floor_of_aiohttp"},
    ),
]


def page() -> str:
    """Return the page."""
    lines = [
        "# Security checklist",
        "",
        (
            "Each rule with the tests that verify it, in `tests/`. Written by `python -m "
            "tests.security_checklist`; a test checks that it is current."
        ),
        "",
        "| | rule | verified by |",
        "| --- | --- | --- |",
    ]
    for number, rule, held in RULES:
        by = "<br>".join(
            f"`{module}`: {', '.join(names.split())}" for module, names in held.items()
        )
        lines.append(f"| {number} | {rule} | {by or '-'} |")
    return "\n".join(lines) + "\n"


def missing() -> list[str]:
    """Return the tests that are named above and do not exist."""
    gone: list[str] = []
    for _, _, held in RULES:
        for module, names in held.items():
            tree = ast.parse((TESTS / f"{module}.py").read_text(encoding="utf-8"))
            there = {
                node.name
                for node in ast.walk(tree)
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            }
            gone += [f"{module}.{name}" for name in names.split() if name not in there]
    return gone


if __name__ == "__main__":
    if gone := missing():
        sys.exit("no such test: " + ", ".join(gone))
    PAGE.write_text(page(), encoding="utf-8")
