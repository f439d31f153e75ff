"""What a team has already, as agents of Pavo: an orchestrator with a generator method (`GeneratorAgent`)."""

from pavo.adapters.generator_agent import GeneratorAgent as GeneratorAgent
