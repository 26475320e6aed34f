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
	// there never was one. Problem says why the newest of all is not in force;
	// its zero value says that Config is the newest.
	Config  *Config
	Problem why.Reason

	Nodes     Map[string, *Node]
	Services  Map[Name, *Service]
	Endpoints Map[Name, *Endpoints]
}
