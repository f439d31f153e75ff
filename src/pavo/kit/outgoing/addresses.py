"""Which addresses may be reached that others name: public ones, and what the operator allows besides. Pure."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
"""All that is handed out for use on the internet (RFC 4291, section 2.4)."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""An IPv4 address in its last 32 bits, for machines without IPv4 (RFC 6052)."""
_REFUSED: Final[tuple[Network, ...]] = (
    IPv4Network("168.63.129.16/32"),  # Azure's metadata and agents, on an address that looks public
    IPv4Network("192.0.0.0/24"),  # special uses; a cloud has its metadata here
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("224.0.0.0/4"),  # multicast, which Python takes for global
    IPv6Network("2001::/23"),  # Teredo and other special uses: what is behind them may be private
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),  # 6to4: carries an IPv4 address
    IPv6Network("3fff::/20"),  # documentation
)
"""Not public, whatever `is_global` of this version of Python says."""


def plain(address: str) -> Address:
    """The address that is really meant: IPv4 in the clothes of IPv6 (mapped, NAT64) is IPv4.

    Raises:
        ValueError: it is no address.
    """
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return found.ipv4_mapped
        if found in _NAT64:
            return IPv4Address(int(found) & 0xFFFFFFFF)
    return found


def is_allowed(address: str, allowed: Sequence[Network]) -> bool:
    """Whether the operator has allowed this address, which then may also be reached without TLS."""
    found = plain(address)
    return any(found in network for network in allowed)


def is_public(address: str) -> bool:
    """Whether this is an address of the internet: not private, of this machine, link-local (metadata of clouds),
    multicast, reserved, or a way around those."""
    found = plain(address)
    if any(found in network for network in _REFUSED):
        return False
    return found.is_global and (isinstance(found, IPv4Address) or found in _GLOBAL_UNICAST)


def may_reach(address: str, allowed: Sequence[Network], *, secure: bool) -> bool:
    """Whether this address may be reached: any that the operator allows, with TLS also a public one.

    Raises:
        ValueError: it is no address.
    """
    return is_allowed(address, allowed) or (secure and is_public(address))
