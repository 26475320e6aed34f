package wire

import "fmt"

// Role is what a speaker is to its external peer (RFC 9234 §4.1).
type Role uint8

// Roles.
const (
	RoleProvider          Role = 0
	RoleRouteServer       Role = 1
	RoleRouteServerClient Role = 2
	RoleCustomer          Role = 3
	RolePeer              Role = 4
)

// String names the role in words.
func (r Role) String() string {
	switch r {
	case RoleProvider:
		return "provider"
	case RoleRouteServer:
		return "route server"
	case RoleRouteServerClient:
		return "route server client"
	case RoleCustomer:
		return "customer"
	case RolePeer:
		return "peer"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// Matches tells if a speaker of the role and one of the other role may be peers (RFC 9234 §4.2).
func (r Role) Matches(other Role) bool {
	switch r {
	case RoleProvider:
		return other == RoleCustomer
	case RoleCustomer:
		return other == RoleProvider
	case RoleRouteServer:
		return other == RoleRouteServerClient
	case RoleRouteServerClient:
		return other == RoleRouteServer
	case RolePeer:
		return other == RolePeer
	}
	return false
}

// RoleCapability tells the peer our role. It belongs in external sessions only (RFC 9234 §4).
func RoleCapability(r Role) Capability { return Capability{CapRole, []byte{byte(r)}} }

// Role returns the role of a role capability, which need not be one of those defined.
func (c Capability) Role() (r Role, ok bool) {
	if c.Code != CapRole || c.malformed() {
		return 0, false
	}
	return Role(c.Value[0]), true
}

// Role returns the sender's role, if it told one. An OPEN that was decoded tells one role only, however often.
func (o *Open) Role() (r Role, ok bool) {
	for _, c := range o.Capabilities {
		if r, ok = c.Role(); ok {
			return r, true
		}
	}
	return 0, false
}

// CheckRole compares the role that a received OPEN tells with ours. The error is a *Notification: role mismatch when
// the two do not go together, or, if strict, when the peer tells none (RFC 9234 §4.2).
func (o *Open) CheckRole(local Role, strict bool) error {
	remote, ok := o.Role()
	if ok && !local.Matches(remote) || !ok && strict {
		return roleMismatch()
	}
	return nil
}

// conflictingRoles tells if role capabilities contradict each other.
func (o *Open) conflictingRoles() bool {
	first, _ := o.Role()
	for _, c := range o.Capabilities {
		if r, ok := c.Role(); ok && r != first {
			return true
		}
	}
	return false
}

func roleMismatch() *Notification {
	return &Notification{Code: CodeOpen, Subcode: SubOpenRoleMismatch}
}
