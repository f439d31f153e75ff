"""What endpoints about models are handed: the endpoints that organisations name, and the gateway."""

from typing import Annotated

from fastapi import Depends, Request

from pavo.llm.gateway.service import GatewayService
from pavo.llm.named.service import EndpointService


async def _endpoints(request: Request) -> EndpointService:
    found: EndpointService = request.app.state.model_endpoints
    return found


async def _gateway(request: Request) -> GatewayService:
    found: GatewayService = request.app.state.model_gateway
    return found


TheEndpoints = Annotated[EndpointService, Depends(_endpoints)]
TheGateway = Annotated[GatewayService, Depends(_gateway)]
