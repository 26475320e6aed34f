// Package version tells which build this is.
//
// The build sets Version; a build that does not says "devel". Start reading at
// Version.
package version

// Version is set by the linker: -ldflags "-X …/internal/version.Version=v1.2.3".
var Version = "devel"
