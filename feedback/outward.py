"""Requests to addresses that people have entered: to the open net only, wherever a name points.

A name is resolved here, every address it has is looked at, and the connection goes to an address
that was looked at, so that a name that changes its mind in between changes nothing.
"""

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx
from django.conf import settings

_NAT64 = IPv6Network("64:ff9b::/96")
INSIDE = "The address is inside a private network. WEBHOOKS_PRIVATE=1 lets webhooks go there."


class Forbidden(Exception):
    """The address is not one that may be called from here."""


class Outward(httpx.AsyncHTTPTransport):
    """A transport that connects to public addresses only, unless WEBHOOKS_PRIVATE allows others."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Forbidden before anything is sent."""
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            address = await resolve(host, port)
        except socket.gaierror as exc:
            raise httpx.ConnectError(f"The name '{host}' is not known.") from exc
        # The certificate must still be that of the name.
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await super().handle_async_request(request)


async def resolve(host: str, port: int) -> str:
    """An address of the host; raises Forbidden when any of them lies inside, and gaierror."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(row[4][0] for row in found))
    if not settings.WEBHOOKS_PRIVATE and not all(is_public(one) for one in addresses):
        raise Forbidden(INSIDE)
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open net, looking into addresses that hold another."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner is None and ip in _NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast
