package ipvs

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// variants are the programs of a family that can be there, the machine's own
// choice first.
func variants(ipv6 bool) []string {
	if ipv6 {
		return []string{"ip6tables", "ip6tables-legacy", "ip6tables-nft"}
	}
	return []string{"iptables", "iptables-legacy", "iptables-nft"}
}

// iptables runs the programs that read and write the rules of one family.
type iptables struct {
	ipv6   bool
	netns  int
	inside func(func() error) error

	variant string    // which one works here; empty: not known yet
	legacy  bool      // its rules are in x_tables, otherwise in nf_tables
	seen    string    // fingerprint of the rules when they were last right; empty: none
	read    time.Time // when that was
}

// rereadAfter is when the rules are read although nothing tells that they changed:
// a rule may be replaced by one of the same size.
const rereadAfter = time.Minute

// ensure makes the rules what they have to be, and reports whether they were
// not. Programs run only where the kernel says that some rule was changed.
func (t *iptables) ensure(ctx context.Context) (changed bool, err error) {
	before := t.fingerprint()
	if before != "" && before == t.seen && time.Since(t.read) < rereadAfter {
		return false, nil
	}
	changed, err = t.edit(ctx, func(saved string) string { return missing(saved, t.ipv6) })
	t.seen = ""
	if now := t.fingerprint(); err == nil && (changed || now == before) {
		t.seen, t.read = now, time.Now()
	}
	return changed, err
}

// remove takes the rules away.
func (t *iptables) remove(ctx context.Context) error {
	t.seen = ""
	_, err := t.edit(ctx, leftovers)
	return err
}

func (t *iptables) edit(ctx context.Context, input func(saved string) string) (bool, error) {
	candidates := variants(t.ipv6)
	if t.variant != "" {
		candidates = []string{t.variant}
	}
	var failed []error
	for _, variant := range candidates {
		saved, err := t.run(ctx, "", variant+"-save")
		if err == nil {
			text := input(saved)
			if text != "" {
				_, err = t.run(ctx, text, variant+"-restore", "--noflush", "-w", "5")
			}
			if err == nil && t.variant == "" {
				err = t.choose(ctx, variant)
			}
			if err == nil {
				return text != "", nil
			}
		}
		failed = append(failed, err)
	}
	return false, fmt.Errorf("program the rules: %w", errors.Join(failed...))
}

// choose keeps the variant that works.
func (t *iptables) choose(ctx context.Context, variant string) error {
	version, err := t.run(ctx, "", variant, "--version")
	if err != nil {
		return err
	}
	t.variant, t.legacy = variant, strings.Contains(version, "legacy")
	return nil
}

// run runs a program to its end and returns what it printed.
func (t *iptables) run(ctx context.Context, input, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.Env = append(os.Environ(), lockFile()...)
	if err := t.inside(cmd.Start); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// lockFile tells the programs which lock to hold while they change x_tables. The
// usual one is shared with all others on the machine; a container whose files can't
// be written has to have it mounted for that, and otherwise gets one of its own.
func lockFile() []string {
	const usual, own = "/run/xtables.lock", "/run/pharos"
	if f, err := os.OpenFile(usual, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
		f.Close()
		return nil
	}
	dir := own
	if unix.Access(own, unix.W_OK) != nil {
		dir = os.TempDir()
	}
	return []string{"XTABLES_LOCKFILE=" + filepath.Join(dir, "xtables.lock")}
}

// fingerprint returns what the kernel tells of its rules without listing them:
// x_tables their number and sizes, nf_tables the generation. It is empty where it
// can't be told.
func (t *iptables) fingerprint() string {
	switch {
	case t.variant == "":
		return ""
	case t.legacy:
		return t.sizes()
	}
	return t.generation()
}

// tableInfo is struct ipt_getinfo and its twin of IPv6: name, hooks, number of
// entries and their size.
const tableInfo = 32 + 4 + 5*4 + 5*4 + 4 + 4

func (t *iptables) sizes() string {
	family, level := unix.AF_INET, unix.SOL_IP
	if t.ipv6 {
		family, level = unix.AF_INET6, unix.SOL_IPV6
	}
	const getInfo = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	var all []byte
	err := t.inside(func() error {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for _, table := range tables {
			var info [tableInfo]byte
			copy(info[:], table)
			size := uint32(len(info))
			if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), getInfo, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
				return errno
			}
			all = append(all, info[:]...)
		}
		return nil
	})
	if err != nil {
		return ""
	}
	return string(all)
}

func (t *iptables) generation() string {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: t.netns})
	if err != nil {
		return ""
	}
	defer conn.Close()
	answer, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil || len(answer) != 1 {
		return ""
	}
	return hex.EncodeToString(answer[0].Data)
}
