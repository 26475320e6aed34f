package nft_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// cpu adds up the processor time of the parts of a benchmark that are measured,
// the program's own and the kernel's on its behalf: unlike wall time it says the
// same where others use the machine.
type cpu struct{ user, system, start, startSystem int64 }

func (c *cpu) begin() { c.start, c.startSystem = usage() }

func (c *cpu) end() {
	user, system := usage()
	c.user, c.system = c.user+user-c.start, c.system+system-c.startSystem
}

func (c *cpu) report(b *testing.B) {
	b.ReportMetric(float64(c.user)/1e3/float64(b.N), "user-ms/op")
	b.ReportMetric(float64(c.system)/1e3/float64(b.N), "kernel-ms/op")
}

// usage returns the program's processor times, in microseconds.
func usage() (user, system int64) {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0, 0
	}
	return r.Utime.Nano() / 1e3, r.Stime.Nano() / 1e3
}
