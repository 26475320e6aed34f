package ebpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// flagIPv6 is BPF_F_IPV6 of l4_csum_replace.
const flagIPv6 = 1 << 7

// Probe reports nil where the kernel has what the driver needs and lets the process
// use it, or what is missing.
func Probe(options Options) error {
	if err := features.HaveProgramType(ebpf.SchedCLS); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return fmt.Errorf("may not load BPF programs: CAP_BPF and CAP_NET_ADMIN are needed, in the initial user namespace: %w", err)
		}
		return fmt.Errorf("the kernel has no BPF programs of type sched_cls (CONFIG_BPF_SYSCALL, CONFIG_NET_CLS_ACT): %w", err)
	}
	for _, t := range []ebpf.MapType{ebpf.Hash, ebpf.LRUHash, ebpf.LPMTrie, ebpf.PerCPUHash, ebpf.PerCPUArray} {
		if err := features.HaveMapType(t); err != nil {
			return fmt.Errorf("the kernel has no BPF maps of type %s: %w", t, err)
		}
	}
	for _, f := range []asm.BuiltinFunc{asm.FnRedirectNeigh, asm.FnSkbAdjustRoom, asm.FnSkbChangeTail, asm.FnCsumDiff} {
		if err := features.HaveProgramHelper(ebpf.SchedCLS, f); err != nil {
			return fmt.Errorf("the kernel has no BPF helper %s: %w", f, err)
		}
	}
	spec, err := loadDirect()
	if err != nil {
		return fmt.Errorf("read the programs: %w", err)
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return fmt.Errorf("the kernel refuses the programs: %w", err)
	}
	c.Close()
	if err := mountPins(options.pins()); err != nil {
		return fmt.Errorf("nowhere to keep maps over a restart: %w", err)
	}
	return inside(options.NetNS, func() error { return probeAttach(options.Attach) })
}

// hasIPv6Flag finds out whether l4_csum_replace knows BPF_F_IPV6.
func hasIPv6Flag() bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R2, 24), asm.Mov.Imm(asm.R3, 0), asm.Mov.Imm(asm.R4, 1), asm.Mov.Imm(asm.R5, unix.BPF_F_PSEUDO_HDR|flagIPv6),
			asm.FnL4CsumReplace.Call(), asm.Return(),
		},
	})
	if err != nil {
		return false
	}
	defer p.Close()
	result, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	return err == nil && result == 0
}
