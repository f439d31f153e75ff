#!/bin/sh
# Temporal's two databases: first the tables that hold the version, then every step up to this image's version.
# SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER and SQL_PASSWORD say where. Doing it again changes nothing.
set -eu
for pair in temporal:temporal visibility:temporal_visibility; do
  SQL_DATABASE=${pair#*:}
  export SQL_DATABASE
  temporal-sql-tool setup-schema -v 0.0
  temporal-sql-tool update-schema --schema-name "postgresql/v12/${pair%%:*}"
done
