"""What a team has already, as agents of Pavo: an orchestrator with a generator method (`GeneratorAgent`), a LangGraph
graph (`GraphAgent`); `working_for` is the agent's context for code within."""

from pavo.adapters.generator_agent import GeneratorAgent as GeneratorAgent
from pavo.adapters.graphs.graph_agent import GraphAgent as GraphAgent
from pavo.adapters.working import working_for as working_for
