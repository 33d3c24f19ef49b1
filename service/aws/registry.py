"""Push an image to a container registry over its HTTP API, with no Docker client.

ECR has habits of its own: it drops every PATCH of a blob but the first, and a repeated upload needs a new
session (aws/containers-roadmap#2831). So each blob goes in one PUT, as containerd does it.

Source: the OCI distribution specification, "Pushing manifests" and "Pushing blobs".
"""

import os
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from service.aws.endpoint import Say
from service.aws.images import DOCKER_MANIFEST, Blob, Image
from service.errors import AwsError, ConfigurationError

_ATTEMPTS: Final = 3
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=300)
_RETRIED: Final = (429, 500, 502, 503, 504)
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Registry:
    """Write blobs and manifests of one registry."""

    def __init__(self, url: str, *, user: str, password: str) -> None:
        """Name it and who pushes.

        Raises:
            ConfigurationError: The credentials would go over an unencrypted connection.
        """
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ConfigurationError(
                f"the registry {url[:120]!r} is not accepted: it should begin with https://"
            )
        self._url = url.rstrip("/")
        self._host = parts.netloc
        self._headers = urllib3.make_headers(basic_auth=f"{user}:{password}")
        options: dict[str, Any] = {
            "timeout": _TIMEOUT,
            "retries": urllib3.Retry(
                _ATTEMPTS,
                backoff_factor=0.5,
                status_forcelist=_RETRIED,
                allowed_methods=("HEAD", "GET"),
                raise_on_status=False,
            ),
        }
        if bundle := os.environ.get("AWS_CA_BUNDLE"):
            options["ca_certs"] = bundle
        proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
        self._http = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def push(self, repository: str, tag: str, image: Image, *, say: Say) -> None:
        """Write an image: what is there already is not sent again.

        Raises:
            AwsError: The registry refuses it, or cannot be reached.
        """
        try:
            for blob in (*image.layers, image.config):
                is_sent = self._push_blob(repository, blob)
                say(
                    f"{blob.digest[7:19]}  {blob.size_bytes / 1e6:8.1f} MB  "
                    f"{'pushed' if is_sent else 'already there'}"
                )
            self._push_manifest(repository, tag, image)
        except urllib3.exceptions.HTTPError as exc:
            raise AwsError(
                f"the registry {self._host} cannot be reached: {_why(exc)}; check the network and try again"
            ) from None
        finally:
            self._http.clear()

    def _push_blob(self, repository: str, blob: Blob) -> bool:
        found = self._ask("HEAD", f"/v2/{repository}/blobs/{blob.digest}", accepted=(200, 404))
        if found.status == 200:
            return False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._upload(repository, blob)
            except (urllib3.exceptions.HTTPError, AwsError):
                if attempt == _ATTEMPTS:
                    raise
            else:
                break
        return True

    def _upload(self, repository: str, blob: Blob) -> None:
        location = self._ask("POST", f"/v2/{repository}/blobs/uploads/", accepted=(202,)).headers["Location"]
        separator = "&" if "?" in location else "?"
        with blob.path.open("rb") as body:
            self._ask(
                "PUT",
                f"{location}{separator}digest={quote(blob.digest)}",
                accepted=(201,),
                body=body,
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(blob.size_bytes)},
            )

    def _push_manifest(self, repository: str, tag: str, image: Image) -> None:
        answer = self._ask(
            "PUT",
            f"/v2/{repository}/manifests/{tag}",
            accepted=(201,),
            body=image.manifest,
            headers={"Content-Type": DOCKER_MANIFEST},
        )
        digest = answer.headers.get("Docker-Content-Digest", image.digest)
        if digest != image.digest:
            raise AwsError(f"the registry {self._host} changed the image: {digest} instead of {image.digest}")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        accepted: tuple[int, ...],
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> urllib3.BaseHTTPResponse:
        url = urljoin(f"{self._url}/", path)
        # An upload may be sent elsewhere by its Location; the password goes nowhere but to the registry.
        credentials = self._headers if urlsplit(url).netloc == self._host else {}
        options: dict[str, Any] = {"retries": False} if body is not None else {}
        answer = self._http.request(
            method, url, headers={**credentials, **(headers or {})}, body=body, redirect=False, **options
        )
        if answer.status not in accepted:
            raise AwsError(_refusal(answer, self._host, method, path), code=str(answer.status))
        return answer


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """Return in words what kept the connection from being made, beneath the attempts to make it."""
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    match reason:
        case urllib3.exceptions.NameResolutionError():
            return "its name cannot be resolved"
        case urllib3.exceptions.ProxyError():
            return "the proxy does not let it through"
        case urllib3.exceptions.SSLError():
            return "its certificate is not trusted (AWS_CA_BUNDLE names other authorities)"
        case urllib3.exceptions.NewConnectionError():
            return "nobody answers there"
        case urllib3.exceptions.TimeoutError():
            return "it does not answer in time"
        case _:
            return f"the connection broke ({type(reason).__name__})"


def _refusal(answer: urllib3.BaseHTTPResponse, host: str, method: str, path: str) -> str:
    said = " ".join(answer.data[:300].decode(errors="replace").split())
    if answer.status in {401, 403}:
        return (
            f"the registry {host} does not let these credentials push ({answer.status}): ask for "
            "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload and ecr:PutImage"
        )
    return f"the registry {host} refused {method} {path.partition('?')[0][:160]} ({answer.status}): {said}"
