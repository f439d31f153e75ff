{{- define "pavo.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 30 | trimSuffix "-" -}}
{{- end -}}

{{- define "pavo.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else if contains (include "pavo.name" .) .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pavo.name" .) | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pavo.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/name: {{ include "pavo.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: pavo
{{- end -}}

{{/* What selects the pods of one component; it may never change in a Deployment that exists. */}}
{{- define "pavo.selector" -}}
app.kubernetes.io/name: {{ include "pavo.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .version }}
pavo.dev/worker-version: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* A version's name in Kubernetes: build ids may hold what names may not, so a digest keeps them apart. */}}
{{- define "pavo.version" -}}
{{- printf "%s-%s" (regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trunc 14 | trimAll "-") (sha256sum . | trunc 6) | trimPrefix "-" -}}
{{- end -}}

{{- define "pavo.image" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (default dict .image) -}}
{{- if and .image .image.tag (not .image.digest) -}}{{- $_ := set $image "digest" "" -}}{{- end -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "pavo.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pavo.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "pavo.secret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ required (printf "%s is required: the name of a Secret that exists" .value) .from.secretName | quote }}
      key: {{ .from.key | quote }}
{{- end -}}

{{- define "pavo.databaseEnv" -}}
{{ include "pavo.secret" (dict "name" "DATABASE_URL" "from" .Values.database "value" "database.secretName") }}
- name: PAVO_LOG_LEVEL
  value: {{ .Values.logging.level | quote }}
- name: PAVO_LOG_FORMAT
  value: {{ .Values.logging.format | quote }}
{{- end -}}

{{- define "pavo.env" -}}
{{ include "pavo.databaseEnv" . }}
{{ include "pavo.secret" (dict "name" "REDIS_URL" "from" .Values.redis "value" "redis.secretName") }}
{{- if .Values.codec.secretName }}
{{ include "pavo.secret" (dict "name" "PAVO_TEMPORAL_CODEC_KEY" "from" .Values.codec "value" "codec.secretName") }}
{{- end }}
{{- if .Values.sealing.secretName }}
{{ include "pavo.secret" (dict "name" "PAVO_SEALING_KEY" "from" .Values.sealing "value" "sealing.secretName") }}
{{- end }}
- name: TEMPORAL_ADDRESS
  value: {{ required "temporal.address is required: host:port of Temporal's frontend" .Values.temporal.address | quote }}
- name: TEMPORAL_NAMESPACE
  value: {{ .Values.temporal.namespace | quote }}
- name: TEMPORAL_TASK_QUEUE
  value: {{ .Values.temporal.taskQueue | quote }}
{{- with .Values.temporal }}
{{- if .searchAttributes }}
- name: PAVO_SEARCH_ATTRIBUTES
  value: "true"
{{- end }}
{{- if .apiKey.secretName }}
{{ include "pavo.secret" (dict "name" "TEMPORAL_API_KEY" "from" .apiKey "value" "temporal.apiKey.secretName") }}
{{- end }}
{{- if or .tls.enabled .apiKey.secretName }}
- name: TEMPORAL_TLS
  value: "true"
{{- end }}
{{- range $name, $key := dict "TEMPORAL_TLS_SERVER_CA_CERT_PATH" .tls.caKey "TEMPORAL_TLS_CLIENT_CERT_PATH" .tls.certKey "TEMPORAL_TLS_CLIENT_KEY_PATH" .tls.keyKey }}
{{- if and $key $.Values.temporal.tls.secretName }}
- name: {{ $name }}
  value: {{ printf "/etc/pavo/temporal/%s" $key | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.monitoring.enabled }}
- name: PAVO_METRICS_ADDRESS
  value: "0.0.0.0:{{ .Values.monitoring.port }}"
{{- else }}
- name: PAVO_METRICS
  value: "false"
{{- end }}
{{- end -}}

{{- define "pavo.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.temporal.tls.secretName }}
- name: temporal-tls
  mountPath: /etc/pavo/temporal
  readOnly: true
{{- end }}
{{- end -}}

{{/* root, component, settings (api, worker or gateway), version, sizeLimit, certificate (a Secret): what all kinds of pods have in common. */}}
{{- define "pavo.podSpec" -}}
serviceAccountName: {{ include "pavo.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ .settings.terminationGracePeriodSeconds }}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
volumes:
  - name: tmp
    emptyDir:
      sizeLimit: {{ .sizeLimit }}
  {{- with .root.Values.temporal.tls.secretName }}
  - name: temporal-tls
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
  {{- end }}
  {{- with .certificate }}
  - name: gateway-tls
    secret:
      secretName: {{ . | quote }}
      defaultMode: 0440
  {{- end }}
{{- if .root.Values.topologySpread.enabled }}
topologySpreadConstraints:
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "pavo.selector" $ | nindent 8 }}
  {{- end }}
{{- end }}
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The workers' Deployments: a list of dicts, one without versions where none are given. */}}
{{- define "pavo.workers" -}}
{{- $workers := list -}}
{{- range .Values.workerVersions -}}
{{- $version := include "pavo.version" .buildId -}}
{{- $workers = append $workers (dict "name" (printf "%s-worker-%s" (include "pavo.fullname" $) $version) "version" $version "settings" .) -}}
{{- end -}}
{{- if not $workers -}}
{{- $workers = append $workers (dict "name" (printf "%s-worker" (include "pavo.fullname" .)) "version" "" "settings" dict) -}}
{{- end -}}
{{- dict "items" $workers | toYaml -}}
{{- end -}}
