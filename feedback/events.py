"""What the open windows of a conversation are told, and over which group."""

import logging
from uuid import UUID

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


def group(conversation_id: UUID | str) -> str:
    """The channel-layer group of everybody who has the conversation open."""
    return f"chat.{conversation_id}"


async def tell(conversation_id: UUID, *payloads: dict) -> bool:
    """Send payloads of the socket protocol to all windows; False when Redis is away.

    What is lost then is made good by the snapshot a window gets when it connects again.
    """
    layer = get_channel_layer()
    try:
        for payload in payloads:
            message = {"type": "chat.event", "payload": payload}
            await layer.group_send(group(conversation_id), message)
    except Exception as exc:
        # Redis errors of many classes, and the layer's own; chats go on without live windows.
        logger.warning("An open window was not told of %s: %s", payloads[0].get("type"), exc)
        return False
    return True
