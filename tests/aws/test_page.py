"""What docs/ship.md says is so: its options are there, and its permissions are those of the calls."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ship.md").read_text()
SERVICES = {
    "application-autoscaling": "application-autoscaling",
    "cloudwatch": "cloudwatch",
    "ecr": "ecr",
    "iam": "iam",
    "logs": "logs",
    "s3": "s3",
    "sagemaker": "sagemaker",
    "sagemaker-runtime": "sagemaker",
    "scheduler": "scheduler",
    "sts": "sts",
}
NAMED_OTHERWISE = {
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
CALL = re.compile(r'"(?P<service>[a-z0-9-]+)",\s*(?:operation=)?"(?P<operation>[a-z0-9]+_[a-z0-9_]+)"')


def operations() -> set[str]:
    """Return every API call that the code names, as IAM names it."""
    found = set()
    for path in (ROOT / "service" / "aws").glob("*.py"):
        text = path.read_text().replace(
            "SERVICE,",
            f'"{path.stem.replace("expiry", "scheduler").replace("scaling", "application-autoscaling")}",',
        )
        for match in CALL.finditer(text):
            if match["service"] in SERVICES:
                action = "".join(word.capitalize() for word in match["operation"].split("_"))
                name = f"{SERVICES[match['service']]}:{action}"
                found.add(NAMED_OTHERWISE.get(name, name))
    return found


def test_every_call_is_among_the_permissions_of_the_page() -> None:
    found = operations()
    granted = [
        re.escape(action).replace(r"\*", r"\w+")
        for action in re.findall(r"`([a-z0-9-]+:[A-Za-z0-9*]+)`", PAGE)
    ]

    assert len(found) > 25
    assert {"ecr:CreateRepository", "sagemaker:CreateModel", "scheduler:GetSchedule"} <= found
    assert {name for name in found if not any(re.fullmatch(action, name) for action in granted)} == set()


def test_every_option_of_the_page_is_one_of_the_command_line() -> None:
    help_page = (ROOT / "docs" / "cli.md").read_text()
    others = {"--output", "--stack-name", "--template-file", "--capabilities", "--parameter-overrides"}
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - others

    assert len(options) > 20
    assert {option for option in options if f"{option} " not in help_page} == set()
