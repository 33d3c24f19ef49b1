"""Start nginx and gunicorn by sagemaker-containers' own server, its nginx configured in this folder."""

import collections
import collections.abc
from pathlib import Path

collections.Mapping = collections.abc.Mapping  # type: ignore[attr-defined]  # the library's newest Python is 3.9

from sagemaker_containers import _server  # noqa: E402


def main() -> None:
    """Serve until one of them ends."""
    _server.nginx_config_file = str(Path.cwd() / "nginx.conf")
    _server.start("sagemaker_app:main")


if __name__ == "__main__":
    main()
