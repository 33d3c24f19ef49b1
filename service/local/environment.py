"""Say which variables make AWS's tools use this service."""

import os

from botocore.session import Session

from service.local.caller import DEFAULT_REGION


def client_variables(url: str) -> dict[str, str]:
    """Return the two variables, and a stand-in for credentials and region where there are none.

    Clients must sign their requests; nothing here checks a signature.
    """
    variables = {"AWS_ENDPOINT_URL_SAGEMAKER": url, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}
    session = Session()
    if session.get_credentials() is None:
        variables |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}  # opens nothing
    if not os.environ.get("AWS_DEFAULT_REGION") and session.get_config_variable("region") is None:
        variables["AWS_DEFAULT_REGION"] = DEFAULT_REGION
    return variables
