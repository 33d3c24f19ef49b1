"""Ask a running server, and remember what was asked and what it said."""

from collections.abc import Mapping, Sequence
from typing import Final

from service.conformance.samples import Sample
from service.conformance.verdict import NotApplicable
from service.conformance.wire import Address, Answer, Body, NoAnswerError, TimedOutError, ask, describe
from service.contract import INVOCATIONS_PATH, PING_PATH

OK: Final = 200
SERVER_ERROR: Final = 500
GROWN_RECORDS: Final = 1000
BUSY_S: Final = 3.0
"""How long pings and connections are timed while the server is busy."""


class Server:
    """Hold a server under test, with the requests that it ought to answer."""

    def __init__(
        self,
        url: str,
        samples: Sequence[Sample],
        *,
        timeout_s: float,
        is_default: bool,
        busy_s: float = BUSY_S,
    ) -> None:
        """Look at a server; `is_default` says that nobody chose the samples, so some may be foreign to it."""
        self.address = Address.parse(url)
        self.samples = tuple(samples)
        self.timeout_s = timeout_s
        self.is_default = is_default
        self.busy_s = busy_s
        self.sent = ""
        self.received = ""
        self.large: Answer | TimedOutError | None = None
        """The answer to the largest payload that was sent, to be judged by size and by time."""
        self.load: object = None
        """What was measured under load, so that two clauses share one measurement."""
        self.load_shown = ("", "")
        self._is_mute = False
        self._first: dict[Sample, Answer | NoAnswerError] = {}

    @property
    def exchange(self) -> tuple[str, str]:
        """Return what was sent last and what came back, for `note` to show again."""
        return self.sent, self.received

    def ask(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request on a connection of its own; raises NoAnswerError."""
        self.sent = describe(method, self.address.base_path + path, body, headers)
        self.received = ""
        try:
            answer = ask(self.address, method, path, body, headers, timeout_s=self.timeout_s)
        except NoAnswerError as exc:
            self.received = str(exc)
            raise
        self.received = str(answer)
        return answer

    def invoke(
        self,
        body: Body,
        content_type: str | None,
        *,
        accept: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """POST to /invocations with these headers and no others."""
        given = dict(headers or {})
        if content_type is not None:
            given["Content-Type"] = content_type
        if accept is not None:
            given["Accept"] = accept
        return self.ask("POST", INVOCATIONS_PATH, body, given)

    def first_answer(self, sample: Sample) -> Answer | NoAnswerError:
        """Return what the server says to a sample as it is; asked once, and not noted."""
        if sample not in self._first:
            headers = {"Content-Type": sample.content_type}
            try:
                self._first[sample] = ask(
                    self.address, "POST", INVOCATIONS_PATH, sample.body, headers, timeout_s=self.timeout_s
                )
            except NoAnswerError as exc:
                self._first[sample] = exc
        return self._first[sample]

    def accepted(self) -> list[tuple[Sample, Answer]]:
        """Return the samples that are answered with 200, with these answers.

        Raises:
            NotApplicable: There are none.
        """
        good = self._answered()
        if not good:
            raise NotApplicable("no request is answered with 200 (C21)")
        return good

    def accepted_of(self, *media_types: str) -> tuple[Sample, Answer]:
        """Return the first sample of these types that is answered with 200; NotApplicable if none is."""
        for sample, answer in self.accepted():
            if sample.media_type in media_types:
                return sample, answer
        raise NotApplicable(f"no request of {' or '.join(media_types)} is answered with 200")

    def need_ping(self) -> None:
        """End a check that says nothing about a server whose ping is not 200."""
        if self._is_mute:
            raise NotApplicable("GET /ping is not answered (C13)")
        try:
            answer = ask(self.address, "GET", PING_PATH, timeout_s=self.timeout_s)
        except NoAnswerError as exc:
            self._is_mute = True  # to wait in vain once is enough
            raise NotApplicable("GET /ping is not answered (C13)") from exc
        if answer.status != OK:
            raise NotApplicable("GET /ping is not answered with 200 (C13)")

    def need_content_type(self) -> None:
        """End a check of a content type that is missing, where it is missing from invocations too."""
        if any(not answer.content_type for _, answer in self._answered()[:1]):
            raise NotApplicable("answers do not say their content type (C71)")

    def grown(self, count: int = GROWN_RECORDS) -> tuple[Sample, bytes] | None:
        """Return a sample and a body with this many of its records, None where none can be made longer."""
        for sample, _ in self.accepted():
            body = sample.with_records(count)
            if body is not None:
                return sample, body
        return None

    def note(self, sent: str, received: str) -> None:
        """Show this exchange instead of the last one."""
        self.sent, self.received = sent, received

    def _answered(self) -> list[tuple[Sample, Answer]]:
        pairs = [(sample, self.first_answer(sample)) for sample in self.samples]
        return [
            (sample, answer) for sample, answer in pairs if isinstance(answer, Answer) and answer.status == OK
        ]
