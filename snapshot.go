package pharos

import "github.com/pharoslb/pharos/why"

// Snapshot is everything desired of the cluster at one moment. It is
// immutable; its successor shares with it what did not change.
type Snapshot struct {
	// Revision grows with every Snapshot of one source.
	Revision uint64

	// Synced says that every kind of object has been listed in full at least
	// once. Until then nothing may be given out or taken back.
	Synced bool

	// Config is the newest configuration that is valid in itself, or nil where
	// there never was one. Problem says why the newest of all is not in force as
	// it is written; its zero value says that Config is the newest. Problems are
	// its parts that are not, each with the object that has to be corrected.
	Config   *Config
	Problem  why.Reason
	Problems []Problem

	Namespaces Map[string, *Namespace]
	Nodes      Map[string, *Node]
	Services   Map[Name, *Service]
	Endpoints  Map[Name, *Endpoints]
}

// Namespace is a namespace of the cluster.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Ref names an object of the API, for people and for events.
type Ref struct{ Kind, Namespace, Name string }

// String returns kind namespace/name.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Problem is one thing that is wrong with an object of the configuration. What
// the object said when it was last right stays in force, if it ever was.
type Problem struct {
	Object Ref
	Field  string     // path, such as spec.addresses[1]; empty: the object as a whole
	Reason why.Reason // ConfigInvalid, SecretMissing, …
	Hint   string     // what to do about it; may be empty
}

// String returns object, field, reason and hint as one line.
func (p Problem) String() string {
	text := p.Object.String() + ": "
	if p.Field != "" {
		text += p.Field + ": "
	}
	text += p.Reason.String()
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}
