"""Commands on deployments: start, check, prove, upgrade, back up."""
