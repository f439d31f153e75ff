#!/bin/sh
# The namespace with its retention, and its search attributes. Doing it again changes nothing but the retention.
set -eu
until temporal operator cluster health >/dev/null 2>&1; do sleep 1; done
if temporal operator namespace describe --namespace "$NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$NAMESPACE" --retention "$RETENTION"
else
  temporal operator namespace create --namespace "$NAMESPACE" --retention "$RETENTION"
fi
# Every service sees a new namespace some seconds later.
until temporal operator search-attribute list --namespace "$NAMESPACE" >/dev/null 2>&1; do sleep 1; done
for pair in $SEARCH_ATTRIBUTES; do
  temporal operator search-attribute create --namespace "$NAMESPACE" --name "${pair%%=*}" --type "${pair#*=}"
done
# As is the namespace, they are understood some seconds later; a task that starts before would be refused.
for pair in $SEARCH_ATTRIBUTES; do
  until temporal workflow count --namespace "$NAMESPACE" --query "${pair%%=*} IS NULL" >/dev/null 2>&1; do sleep 1; done
done
