package rival

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

// pass is a program that does nothing.
func pass(t *testing.T, name string, kind ebpf.ProgramType) *ebpf.Program {
	t.Helper()
	verdict := int32(-1) // TCX_NEXT
	if kind == ebpf.XDP {
		verdict = 2 // XDP_PASS
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}})
	if errors.Is(err, unix.EPERM) {
		t.Skip("BPF programs may not be loaded here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestFind(t *testing.T) {
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	a, err := netns.New("node")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for i, device := range []string{"eth0", "eth1", "pod0"} {
		if err := netns.Veth(a, device, a, "peer"+device); err != nil {
			t.Fatal(err)
		}
		if device != "pod0" {
			if err := a.AddAddr(device, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + i)}), 32)); err != nil {
				t.Fatal(err)
			}
		}
	}
	cilium, ours, xdp := pass(t, "cil_from_netdev", ebpf.SchedCLS), pass(t, "pharos_in", ebpf.SchedCLS), pass(t, "balancer_ingress", ebpf.XDP)
	err = a.Do(func() error {
		for _, at := range []struct {
			device  string
			program *ebpf.Program
		}{{"eth0", cilium}, {"eth0", ours}, {"pod0", cilium}} {
			l, err := netlink.LinkByName(at.device)
			if err != nil {
				return err
			}
			attached, err := link.AttachTCX(link.TCXOptions{Interface: l.Attrs().Index, Program: at.program, Attach: ebpf.AttachTCXIngress})
			if err != nil {
				return err
			}
			t.Cleanup(func() { attached.Close() })
		}
		eth1, err := netlink.LinkByName("eth1")
		if err != nil {
			return err
		}
		attached, err := link.AttachXDP(link.XDPOptions{Interface: eth1.Attrs().Index, Program: xdp, Flags: link.XDPGenericMode})
		if err != nil {
			return err
		}
		t.Cleanup(func() { attached.Close() })
		if err := netlink.QdiscAdd(&netlink.GenericQdisc{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: eth1.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}, QdiscType: "clsact"}); err != nil {
			return err
		}
		if err := netlink.FilterAdd(&netlink.BpfFilter{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: eth1.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1},
			Fd:          cilium.FD(), Name: "cali_tc_preamble", DirectAction: true,
		}); err != nil {
			return err
		}
		found, err := Find()
		if err != nil {
			return err
		}
		want := []Program{{"Cilium", "cil_from_netdev", "eth0"}, {"Katran", "balancer_ingres", "eth1"}, {"Calico", "cali_tc_preamble", "eth1"}}
		if !slices.Equal(found, want) {
			t.Errorf("found %v", found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
