"""`POST /v0/route/explain`: what a completion with this body would do and why, without doing it.

The body, the key and the headers are those of a completion. Nothing is called, held or logged, and
no session begins by it. How it reads is `gateway.explanation`.
"""

from typing import Any

import orjson

from gateway.consumers import ChatCompletionConsumer
from gateway.errors import GatewayError
from gateway.exchange import Incoming
from gateway.explanation import explained
from gateway.wire.labels import special_of


class RouteExplain(ChatCompletionConsumer):
    """One explanation for a caller who shows a key."""

    async def handle(self, body: bytes) -> None:
        try:
            content = await self._explanation(body)
        except GatewayError as error:
            await self.refuse(error)
            await self.send_body(b"")
            return
        answer = orjson.dumps(content)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"x-request-id", self.trace.shown_id.encode()),
        ]
        await self.send_headers(status=200, headers=headers)
        await self.send_body(answer)

    async def _explanation(self, body: bytes) -> dict[str, Any]:
        plane = self.plane
        policy = await plane.callers.identify(self.headers, peer=self.peer)
        incoming = Incoming(self._dialect, self.headers, body, self.trace, special_of(self.headers))
        request = incoming.chat_request(plane.completions.limits)
        choice = plane.router.explain(request, policy, hops=incoming.hops)
        if choice.wants_session:
            session = await plane.sessions.state(policy, request.session_id, is_kept_alive=False)
            choice = plane.router.explain(request, policy, hops=incoming.hops, session=session)
        return explained(choice, request, health=plane.router.health, scoring=plane.router.scoring)
