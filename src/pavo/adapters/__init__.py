"""What a team has already, as agents of Pavo: an orchestrator with a generator method (`GeneratorAgent`), a LangGraph
graph (`GraphAgent`), an agent of pydantic-ai (`PydanticAgent`), of the OpenAI Agents SDK (`OpenAIAgent`) or of
smolagents (`SmolAgent`), a program in any language (`CommandAgent`); `working_for` is the agent's context for code
within."""

from pavo.adapters.commands.command_agent import CommandAgent as CommandAgent
from pavo.adapters.generator_agent import GeneratorAgent as GeneratorAgent
from pavo.adapters.graphs.graph_agent import GraphAgent as GraphAgent
from pavo.adapters.replayed.openai_agent import OpenAIAgent as OpenAIAgent
from pavo.adapters.replayed.pydantic_agent import PydanticAgent as PydanticAgent
from pavo.adapters.replayed.smol_agent import SmolAgent as SmolAgent
from pavo.adapters.working import working_for as working_for
