"""The calls of models of coding programs: who may make them through Pavo, what they took, and what bounds them."""
