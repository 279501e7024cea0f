{{/* The name of the component and its objects. */}}
{{- define "component.name" -}}
{{ .Values.fullnameOverride | default (ternary .Release.Name .Chart.Name .Chart.IsRoot) }}
{{- end }}

{{/* The endpoint of OTLP, of components whose tag is the global one. */}}
{{- define "component.endpoint" -}}
{{ if not .Values.image.tag }}{{ .Values.global.otel.endpoint }}{{ end }}
{{- end }}

{{- define "component.tag" -}}
{{ .Values.image.tag | default .Values.global.tag }}{{ if include "component.endpoint" . }}-otel{{ end }}
{{- end }}

{{- define "component.image" -}}
{{- $repository := printf "%s/%s" .Values.global.registry (include "component.name" .) -}}
{{ .Values.image.repository | default $repository }}:{{ include "component.tag" . }}
{{- end }}

{{/* A selector is immutable; the manifests in k8s have the same one. */}}
{{- define "component.selectorLabels" -}}
app: {{ include "component.name" . }}
{{- end }}

{{/* The version is the tag without a digest, since a label contains no @. */}}
{{- define "component.labels" -}}
{{ include "component.selectorLabels" . }}
app.kubernetes.io/name: {{ include "component.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ include "component.tag" . | splitList "@" | first | trunc 63 | quote }}
app.kubernetes.io/component: {{ include "component.name" . }}
app.kubernetes.io/part-of: dockercoins
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
