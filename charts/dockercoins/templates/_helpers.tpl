{{/* The labels of objects that belong to no component. */}}
{{- define "dockercoins.labels" -}}
app.kubernetes.io/name: dockercoins
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: dockercoins
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
