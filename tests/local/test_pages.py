"""Lists keep what is asked for, in the order asked for."""

from typing import Any

import pytest

from service.local.pages import list_page
from service.local.resources import Kind, Resource

FOUND = [
    Resource(
        Kind.ENDPOINT,
        "us-east-1",
        name,
        {
            "EndpointName": name,
            "EndpointStatus": status,
            "CreationTime": created,
            "LastModifiedTime": created + 10,
        },
    )
    for name, status, created in (
        ("b", "InService", 100.0),
        ("A", "Failed", 200.0),
        ("ab", "InService", 300.0),
    )
]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({}, ["ab", "A", "b"]),
        ({"SortOrder": "Ascending"}, ["b", "A", "ab"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["A", "ab", "b"]),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, ["A", "ab", "b"]),
        ({"NameContains": "a"}, ["ab", "A"]),
        ({"StatusEquals": "InService"}, ["ab", "b"]),
        ({"CreationTimeAfter": 100}, ["ab", "A"]),
        ({"CreationTimeBefore": 300}, ["A", "b"]),
        ({"LastModifiedTimeAfter": 210, "LastModifiedTimeBefore": 311}, ["ab"]),
    ],
)
def test_list_page(request_: dict[str, Any], names: list[str]) -> None:
    page = list_page(Kind.ENDPOINT, FOUND, request_)

    assert [found["EndpointName"] for found in page["Endpoints"]] == names
    assert "NextToken" not in page


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("by", ["Name", "CreationTime", "Status"])
def test_pages_hold_each_entry_once(order: str, by: str) -> None:
    request: dict[str, Any] = {"SortOrder": order, "SortBy": by, "MaxResults": 1}
    whole = list_page(Kind.ENDPOINT, FOUND, request | {"MaxResults": 10})["Endpoints"]
    paged = []
    while True:
        page = list_page(Kind.ENDPOINT, FOUND, request)
        paged += page["Endpoints"]
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]

    assert paged == whole
