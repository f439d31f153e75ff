-- Roles and databases, each role with its own password; run at every start, so that changed passwords take effect.
\set ON_ERROR_STOP on
\getenv pavo_password PAVO_DATABASE_PASSWORD
\getenv temporal_password TEMPORAL_DATABASE_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', role) FROM (VALUES ('pavo'), ('temporal')) AS wanted (role)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
ALTER ROLE pavo PASSWORD :'pavo_password';
ALTER ROLE temporal PASSWORD :'temporal_password';
SELECT format('CREATE DATABASE %I OWNER %I', name, role)
FROM (VALUES ('pavo', 'pavo'), ('temporal', 'temporal'), ('temporal_visibility', 'temporal')) AS wanted (name, role)
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
REVOKE ALL ON DATABASE pavo, temporal, temporal_visibility FROM PUBLIC;
