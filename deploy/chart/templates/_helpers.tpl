{{/*
Names are those that MetalLB's chart gives, so that a release of that chart is upgraded in place: its Deployment, DaemonSet
and service accounts become these, and their selectors, which Kubernetes lets nobody change, stay.
*/}}
{{- define "pharos.name" -}}
{{- .Values.nameOverride | default "metallb" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "pharos.fullname" -}}
{{- $name := include "pharos.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* An object's name, of (list ROOT NAME): NAME alone where the plain manifests' names are asked for. */}}
{{- define "pharos.object" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.manifestNames -}}
{{- index . 1 -}}
{{- else -}}
{{- printf "%s-%s" (include "pharos.fullname" $root) (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* The name of a role's cluster-wide rights, of (list ROOT ROLE). */}}
{{- define "pharos.clusterrole" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.manifestNames -}}
{{- printf "%s:%s" $root.Release.Namespace (index . 1) -}}
{{- else -}}
{{- printf "%s:%s" (include "pharos.fullname" $root) (index . 1) -}}
{{- end -}}
{{- end -}}

{{/* The name of a role's service account, of (list ROOT ROLE). */}}
{{- define "pharos.account" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "pharos.object" .) -}}
{{- else -}}
{{- $account.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* What a role's pods are selected by, of (list ROOT ROLE). */}}
{{- define "pharos.selector" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.manifestNames -}}
app: metallb
component: {{ index . 1 }}
{{- else -}}
app.kubernetes.io/name: {{ include "pharos.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}
{{- end -}}

{{/* Every object's labels. */}}
{{- define "pharos.labels" -}}
{{- if .Values.manifestNames -}}
app: metallb
{{- else -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "pharos.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}
{{- end -}}

{{/* The labels of what belongs to one role, of (list ROOT ROLE). */}}
{{- define "pharos.labelsOf" -}}
{{- include "pharos.labels" (index . 0) }}
{{ if (index . 0).Values.manifestNames }}component{{ else }}app.kubernetes.io/component{{ end }}: {{ index . 1 }}
{{- end -}}

{{/*
A role's image, of (list ROOT ROLE). A file of values that was written for MetalLB may name MetalLB's own image: that runs no
Pharos, whatever its tag is.
*/}}
{{- define "pharos.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index $root.Values (index . 1)).image -}}
{{- if include "pharos.foreign" . -}}
pharoslb/pharos{{ include "pharos.tag" (list $root "") }}
{{- else -}}
{{ $image.repository }}{{ include "pharos.tag" (list $root ($image.tag | default "")) }}
{{- end -}}
{{- end -}}

{{- define "pharos.tag" -}}
{{- $tag := index . 1 | default (index . 0).Chart.AppVersion | toString -}}
{{- if ne $tag "latest" -}}
{{- hasPrefix "sha256:" $tag | ternary "@" ":" -}}{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "pharos.foreign" -}}
{{- if regexMatch "(^|/)metallb/(controller|speaker)$" (index (index . 0).Values (index . 1)).image.repository -}}yes{{- end -}}
{{- end -}}

{{/* The Secret of the speakers' membership. */}}
{{- define "pharos.secret" -}}
{{- .Values.speaker.secretName | default (include "pharos.object" (list . "memberlist")) -}}
{{- end -}}

{{/* The ConfigMap of MetalLB's old way to configure it. */}}
{{- define "pharos.configmap" -}}
{{- .Values.existingConfigMap | default "config" -}}
{{- end -}}

{{/* A probe, of (dict of its values, path). */}}
{{- define "pharos.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: monitoring
{{- range $field := list "initialDelaySeconds" "periodSeconds" "timeoutSeconds" "successThreshold" "failureThreshold" }}
{{- with index (index $ 0) $field }}
{{ $field }}: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A container's securityContext: what every pod security standard but one asks for, and the capabilities to add. */}}
{{- define "pharos.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- with . }}
  add: [{{ join ", " . }}]
{{- end }}
{{- end -}}

{{/* Where values that ask for what there is not are set, one a line; values.yaml tells why they have no effect. */}}
{{- define "pharos.idle" -}}
{{- range $path := .Files.Get "files/without-effect.txt" | splitList "\n" }}
{{- $found := $.Values }}
{{- range $key := splitList "." $path }}
{{- if kindIs "map" $found }}{{ $found = get $found $key }}{{ end }}
{{- end }}
{{- if and $path $found }}
{{ $path }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What PodMonitors and ServiceMonitors say alike about a scrape, of their values. */}}
{{- define "pharos.scrape" -}}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{/* An alert's labels, of its values. */}}
{{- define "pharos.severity" -}}
{{- with .labels }}
labels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The selector of the pools that an alert is about, of its values. */}}
{{- define "pharos.pools" -}}
{{- with .excludePools }}{pool!~{{ . | quote }}}{{ end }}
{{- end -}}
