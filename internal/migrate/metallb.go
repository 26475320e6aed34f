package migrate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pharoslb/pharos"
)

// MetalLB is what a cluster shows of MetalLB, besides its configuration.
type MetalLB struct {
	// Found says that its controller or its speakers are there.
	Found bool
	// Replaced says that Pharos is there in their place already.
	Replaced bool

	Mode    Mode
	Version Version

	Class              string // --lb-class
	IgnoreExcludeLabel bool   // --ignore-exclude-lb

	// Speakers are the nodes whose speaker runs. None: nobody knows, so that every
	// node counts.
	Speakers []string

	// Owners are all ServiceL2Statuses, Announcers all ServiceBGPStatuses.
	Owners     []Status
	Announcers []Status

	// SingleFamily are the BGPPeers with disableMP.
	SingleFamily []string

	// Own are the FRRConfigurations that MetalLB's speakers made, Foreign the others.
	// AddressPools are the objects of that kind, which MetalLB 0.13 read last.
	Own, Foreign []pharos.Ref
	AddressPools []pharos.Ref
}

// Status is what one node tells of one Service.
type Status struct {
	Service    pharos.Name
	Node       string
	Interfaces []string // layer 2; none: all
	Peers      []string // BGP
}

// Mode is how MetalLB speaks BGP. It is not known where it is empty.
type Mode string

// The modes, as METALLB_BGP_TYPE has them.
const (
	Native Mode = "native"
	FRR    Mode = "frr"
	FRRK8s Mode = "frr-k8s"
)

// ParseMode reads METALLB_BGP_TYPE; empty is Native.
func ParseMode(text string) Mode {
	switch Mode(text) {
	case "", Native:
		return Native
	case FRR, FRRK8s:
		return Mode(text)
	}
	return ""
}

// Version is a release of MetalLB, 0.Minor.Patch. It is not known where it is zero.
type Version struct{ Minor, Patch int }

// ParseVersion reads an image's tag, such as v0.14.9; others give the zero Version.
func ParseVersion(tag string) Version {
	parts := strings.SplitN(strings.TrimPrefix(tag, "v"), ".", 3)
	if len(parts) != 3 || parts[0] != "0" {
		return Version{}
	}
	patch, _, _ := strings.Cut(parts[2], "-")
	minor, err := strconv.Atoi(parts[1])
	number, err2 := strconv.Atoi(patch)
	if err != nil || err2 != nil || minor <= 0 || number < 0 {
		return Version{}
	}
	return Version{minor, number}
}

// String returns 0.Minor.Patch, or nothing where the version is not known.
func (v Version) String() string {
	if v == (Version{}) {
		return ""
	}
	return fmt.Sprintf("0.%d.%d", v.Minor, v.Patch)
}

// before reports whether the version is known to be older than 0.minor.
func (v Version) before(minor int) bool { return v != (Version{}) && v.Minor < minor }

// since reports whether the version is known to be 0.minor or newer.
func (v Version) since(minor int) bool { return v.Minor >= minor && v != (Version{}) }
