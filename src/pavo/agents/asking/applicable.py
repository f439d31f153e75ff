"""Whether a question's schema can be applied: seen where answers are looked for, never in an agent's process."""

from pavo.agents.asking.question import Question
from pavo.errors import AgentRefused
from pavo.kit.json_schema import misfit, wrong_with


def check_applicable(question: Question) -> None:
    """Refuse a schema that is none, and a default that people could not answer.

    Raises:
        AgentRefused: the text names the argument.
    """
    schema = question.answer_schema()
    if wrong := wrong_with(schema):
        raise AgentRefused(f"ask(): schema: {wrong}.", field="schema", remedy="Give a JSON Schema.")
    if not question.has_default:
        return
    try:
        error = misfit(schema, question.default)
    except Exception as broken:
        cause = f"ask(): schema: it cannot be applied: {type(broken).__name__}."
        raise AgentRefused(cause, field="schema", remedy="Give one that refers to nothing outside.") from broken
    if error is not None:
        remedy = "Give one that fits schema, or none: then QuestionExpired is raised."
        raise AgentRefused(f"ask(): default: {error.message[:300]}.", field="default", remedy=remedy)
