package ebpf

import (
	"fmt"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Attach is how programs are attached to devices.
type Attach string

// The ways to attach.
const (
	AttachAuto   Attach = ""       // TCX where the kernel has it
	AttachTCX    Attach = "tcx"    // Linux 6.6 and later
	AttachClsact Attach = "clsact" // a qdisc with filters
)

// hook is where a program sits on a device.
type hook struct {
	device int
	egress bool
}

func (h hook) String() string {
	if h.egress {
		return "egress-" + strconv.Itoa(h.device)
	}
	return "ingress-" + strconv.Itoa(h.device)
}

// attacher attaches programs. What it attaches outlives the process. It is called in
// the network namespace that it is for.
type attacher interface {
	// attach has p run at h, in the place of what ran there before, and reports whether
	// it had anything to do.
	attach(h hook, p *ebpf.Program) (bool, error)
	detach(h hook) error
	// attached returns the hooks of this and earlier processes.
	attached() ([]hook, error)
	close()
}

// probeAttach reports what is missing to attach in a way.
func probeAttach(how Attach) error {
	_, err := resolve(how)
	return err
}

// pass is a program that does nothing.
var pass = asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}

// resolve finds out how to attach, in the namespace of the calling thread.
func resolve(how Attach) (Attach, error) {
	if how == AttachClsact {
		return how, nil
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: pass})
	if err != nil {
		return "", fmt.Errorf("load a program: %w", err)
	}
	defer p.Close()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return "", fmt.Errorf("find lo: %w", err)
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: lo.Attrs().Index, Program: p, Attach: ebpf.AttachTCXIngress})
	switch {
	case err == nil:
		return AttachTCX, l.Close()
	case how == AttachTCX:
		return "", fmt.Errorf("the kernel has no TCX, which is in Linux 6.6 and later: %w", err)
	}
	return AttachClsact, nil
}
