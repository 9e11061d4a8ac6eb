"""Retries: tenacity's strategies as values, asked only after a failure.

The answer is a delay, not a sleep: it becomes the page's due date, so a waiting retry holds no worker
and survives a restart. A wrapped call would cost 121-165 µs even on success; asking costs nothing then.
"""

from __future__ import annotations

import tenacity
from tenacity.retry import RetryBaseT
from tenacity.stop import StopBaseT
from tenacity.wait import WaitBaseT

from scraper.errors import BodyCut, FetchError, ReadError
from scraper.options import may_repeat
from scraper.page import Lease
from scraper.settings import Settings


def is_transient(error: BaseException) -> bool:
    """True for errors that may heal by themselves: connect, read, time-out, and the retry statuses."""
    return isinstance(error, FetchError) and error.transient


class RetryPolicy:
    """When to try again.

    Args:
        stop: tenacity stop strategy; sees ``attempt_number`` and ``seconds_since_start``.
        wait: tenacity wait strategy, seconds.
        retry: tenacity retry strategy; by default errors that are ``transient``.
        retry_after_max: the longest Retry-After that is obeyed, seconds; it wins over ``wait``.
        resend_unsafe: also try POST and the like again after they were sent and no whole answer came: they may have
            done their work. A request's own ``resend`` wins over it. No connection at all, or one of the retry
            statuses, is another matter: the server has them not, or says that it failed.
    """

    def __init__(
        self,
        stop: StopBaseT | None = None,
        wait: WaitBaseT | None = None,
        retry: RetryBaseT | None = None,
        retry_after_max: float = 600.0,
        resend_unsafe: bool = False,
    ) -> None:
        self.stop: StopBaseT = stop or tenacity.stop_after_attempt(4)
        self.wait: WaitBaseT = wait or tenacity.wait_random_exponential(max=60)
        self.retry: RetryBaseT = retry or tenacity.retry_if_exception(is_transient)
        self.retry_after_max = retry_after_max
        self.resend_unsafe = resend_unsafe

    def delay(self, lease: Lease, error: FetchError, now: float) -> float | None:
        """Seconds until the next attempt, or None to give up. ``retry_attempts`` of the request win over ``stop``."""
        request = lease.request
        sent = isinstance(error, ReadError | BodyCut) and not error.unsent
        if sent and not may_repeat(request.method, request.options, self.resend_unsafe):
            return None
        state = self._state(lease, error, now)
        if not self.retry(state):
            return None
        if error.retry_after is not None:
            wait = min(error.retry_after, self.retry_after_max)
        else:
            wait = float(self.wait(state))
        state.upcoming_sleep = max(wait, 0.0)  # stop_before_delay reads it
        own = request.options.get("retry_attempts") if request.options is not None else None
        over = lease.attempt >= own if own is not None else self.stop(state)
        return None if over else state.upcoming_sleep

    def _state(self, lease: Lease, error: FetchError, now: float) -> tenacity.RetryCallState:
        """The page's history in the form that tenacity's strategies read."""
        asked = tenacity.AsyncRetrying(stop=self.stop, wait=self.wait, retry=self.retry)
        state = tenacity.RetryCallState(retry_object=asked, fn=None, args=(lease.request,), kwargs={})
        state.attempt_number = lease.attempt
        state.set_exception((type(error), error, error.__traceback__))
        # Strategies only look at differences: the page's first attempt is the start.
        state.start_time = 0.0
        state.outcome_timestamp = now - (lease.first_tried if lease.first_tried is not None else now)
        return state


def default_policy(settings: Settings) -> RetryPolicy:
    """The policy that the settings describe: so many attempts, random exponential waits."""
    return RetryPolicy(
        stop=tenacity.stop_after_attempt(settings.retry_attempts),
        wait=tenacity.wait_random_exponential(max=settings.retry_max_wait),
        retry_after_max=settings.retry_after_max,
        resend_unsafe=settings.resend_unsafe,
    )
