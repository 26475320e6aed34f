package container

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Privileges are what a program may do. The zero value is root without a
// capability.
type Privileges struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
	// Capabilities are the ones that root keeps and that a program with file
	// capabilities could gain, named as in capabilities(7) without CAP_. A
	// user other than root starts without any, as under a container engine.
	Capabilities []string
	// NoNewPrivileges makes set-user-ID programs and file capabilities
	// ineffective.
	NoNewPrivileges bool
}

// capabilities are all of capabilities(7), by number.
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE",
}

// AllCapabilities returns the names of all.
func AllCapabilities() []string { return slices.Clone(capabilities) }

// check finds capabilities that do not exist.
func (p Privileges) check() error {
	for _, name := range p.Capabilities {
		if !slices.Contains(capabilities, name) {
			return fmt.Errorf("no capability %q", name)
		}
	}
	return nil
}

// assume gives up, on the calling thread, whatever goes beyond p. The thread
// must be locked, and execute or fork the program itself.
func (p Privileges) assume() error {
	// What leaves the bounding set, root does not get back by execve
	// (capabilities(7), "Capability bounding set").
	for number, name := range capabilities {
		if slices.Contains(p.Capabilities, name) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(number), 0, 0, 0); err != nil && err != unix.EINVAL { // unknown to this kernel
			return fmt.Errorf("drop CAP_%s: %w", strings.ToUpper(name), err)
		}
	}
	if p.UID != 0 || p.GID != 0 || len(p.Groups) > 0 {
		if err := p.become(); err != nil {
			return fmt.Errorf("become user %d, group %d: %w", p.UID, p.GID, err)
		}
	}
	if p.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("no_new_privs: %w", err)
		}
	}
	return nil
}

// become changes the thread's user. The system calls are made by hand: package
// syscall's change every thread of the program.
func (p Privileges) become() error {
	var groups unsafe.Pointer
	if len(p.Groups) > 0 {
		groups = unsafe.Pointer(&p.Groups[0])
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(p.Groups)), uintptr(groups), 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESGID, uintptr(p.GID), uintptr(p.GID), uintptr(p.GID)); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uintptr(p.UID), uintptr(p.UID), uintptr(p.UID)); errno != 0 {
		return errno
	}
	return nil
}
