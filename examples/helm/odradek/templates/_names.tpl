{{/* Everything has the release's name, with that of the chart if it is not in there. */}}
{{- define "odradek.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{/* What picks this release's agents, for ever: a Deployment's selector cannot change. */}}
{{- define "odradek.selector" -}}
app.kubernetes.io/name: odradek
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "odradek.labels" -}}
{{ include "odradek.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "odradek.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag }}{{ end }}
{{- end }}

{{- define "odradek.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ include "odradek.name" . }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* Ports of the URLs, as a list in JSON: of Redis, of MinIO, of an endpoint of S3; where the URL says none, the usual one. */}}
{{- define "odradek.egress" -}}
{{- $redis := regexFind ":[0-9]+" (trimPrefix "redis:" (trimPrefix "rediss:" .Values.redis.url)) | default ":6379" }}
{{- $bucket := ":443" }}
{{- if hasPrefix "minio:" .Values.bucket }}
{{- $bucket = regexFind "^//[^/?]*:[0-9]+" (trimPrefix "minio:" .Values.bucket) | regexFind ":[0-9]+$" | default (ternary ":80" ":443" (contains "secure=false" .Values.bucket)) }}
{{- else if contains "endpoint=" .Values.bucket }}
{{- $bucket = regexFind "endpoint=https?(://|%3A%2F%2F)[^/?&]*?(:|%3A)[0-9]+" .Values.bucket | regexFind "[0-9]+$" | default (ternary "80" "443" (contains "endpoint=http:" .Values.bucket)) | printf ":%s" }}
{{- end }}
{{- $ports := list (trimPrefix ":" $redis | int) (trimPrefix ":" $bucket | int) }}
{{- range .Values.networkPolicy.egressPorts }}{{ $ports = append $ports (int .) }}{{ end }}
{{- $ports | uniq | sortAlpha | toJson }}
{{- end }}

{{/* A value as a person wrote it: Helm's numbers are floats, which print as 8.64e+07. */}}
{{- define "odradek.text" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end }}
{{- end }}
