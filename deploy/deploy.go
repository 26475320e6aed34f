// Package deploy holds the manifests with which users install Pharos, for
// programs that install it as users do: the lab and the tests.
//
//	pharos.yaml        controller and speakers, in MetalLB's place
//	pharos-proxy.yaml  the data plane, in kube-proxy's place
//	crds/              the kinds of group metallb.io, one a file, made of api/
//
// It knows no Kubernetes; it is text. Start reading at pharos.yaml.
package deploy

import "embed"

// Pharos is pharos.yaml: controller and speakers.
//
//go:embed pharos.yaml
var Pharos []byte

// Proxy is pharos-proxy.yaml: the data plane.
//
//go:embed pharos-proxy.yaml
var Proxy []byte

// CRDs has crds/*.yaml: the kinds of group metallb.io, one a file. They come
// before what configures with them.
//
//go:embed crds/*.yaml
var CRDs embed.FS
