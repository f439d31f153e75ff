"""An organisation's own endpoints of models, by name; their keys are secrets of the organisation."""
