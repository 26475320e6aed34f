package interop

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// capture records what passes a device of the switch, both ways.
type capture struct {
	l      *lab
	device string
	file   string
	cmd    *exec.Cmd
}

// onSegment is the switch's device on the segment.
const onSegment = "eth0"

// capture starts one; it has its eye on the device when this returns.
func (l *lab) capture(device string) *capture {
	l.t.Helper()
	c := &capture{l: l, device: device, file: filepath.Join(l.t.TempDir(), device+".pcapng")}
	var said record
	c.cmd = exec.Command("dumpcap", "-q", "-s", "0", "-i", device, "-w", c.file, "-f", "tcp port 179 or udp port 3784 or udp port 3785 or udp port 4784 or udp port 9")
	c.cmd.Stderr = &said
	l.must(l.sw.Start(c.cmd))
	l.t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	l.eventually("dumpcap", func() error {
		if !strings.Contains(said.String(), "File: ") {
			return errors.New(said.String())
		}
		return nil
	})
	return c
}

var (
	// A row of tshark's table of expert findings: how often, which group, which
	// protocol, what. The table's title is its severity.
	finding = regexp.MustCompile(`(?m)^ +\d+ +\S.* +(BGP|BFD) .*$`)
	// tshark 4.0 does not know extended messages (RFC 8654): it takes a length above
	// 4096 for invalid and leaves the message undecoded. That their contents are right
	// is the matter of the story "extended messages".
	extended = regexp.MustCompile(`BGP +Length is invalid (409[7-9]|4[1-9]\d\d|[5-9]\d{3}|[1-6]\d{4})$`)
)

// end ends the capture, once all that passed is in the file.
func (c *capture) end() {
	l := c.l
	l.t.Helper()
	// The kernel hands packets over in lots: the capture is complete once it has a
	// last one of our own.
	const last = "the capture ends here"
	l.eventually("the last packet", func() error {
		if err := l.sw.Do(func() error {
			// By its number: package net remembers names for a minute, of other namespaces.
			device, err := l.sw.Link().LinkByName(c.device)
			if err != nil {
				return err
			}
			conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv6linklocalallnodes, Port: 9, Zone: strconv.Itoa(device.Attrs().Index)})
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte(last))
			return err
		}); err != nil {
			return err
		}
		text, err := os.ReadFile(c.file)
		if err == nil && !bytes.Contains(text, []byte(last)) {
			err = fmt.Errorf("not in %d octets", len(text))
		}
		return err
	})
	c.cmd.Process.Signal(syscall.SIGINT)
	if err := c.cmd.Wait(); err != nil {
		l.t.Errorf("dumpcap: %v", err)
	}
}

// check ends the capture and has tshark decode it: there must be some of the protocol,
// "bgp" or "bfd", and nothing of either may be malformed, nor worth a warning to it.
func (c *capture) check(protocol string) {
	l := c.l
	l.t.Helper()
	c.end()
	out, err := l.ask("tshark", "-r", c.file, "-q", "-z", "io,phs", "-z", "expert,warn")
	l.must(err)
	if !strings.Contains(out, " "+protocol+" ") {
		l.t.Errorf("tshark found no %s:\n%s", protocol, out)
	}
	found := slices.DeleteFunc(finding.FindAllString(out, -1), func(row string) bool { return extended.MatchString(row) })
	if len(found) == 0 {
		return
	}
	detail, err := l.ask("tshark", "-r", c.file, "-V", "-O", "bgp,bfd", "-Y", "_ws.malformed || bgp && _ws.expert.severity >= 0x600000 || bfd && _ws.expert.severity >= 0x600000")
	l.must(err)
	l.t.Errorf("tshark complains:\n%s\nabout\n%.8000s", strings.Join(found, "\n"), detail)
}

// octets are what passed on the first TCP connection with an address that was recorded
// from its OPENs on and became a session, to that address and from it. Call it after
// end.
func (c *capture) octets(addr netip.Addr) (to, from []byte) {
	l := c.l
	l.t.Helper()
	streams := func(kind string) []string {
		out, err := l.ask("tshark", "-r", c.file, "-Y", "bgp.type == "+kind+" && ip.addr == "+addr.String(), "-T", "fields", "-e", "tcp.stream")
		l.must(err)
		return strings.Fields(out)
	}
	updates := streams("2")
	opened := slices.DeleteFunc(streams("1"), func(s string) bool { return !slices.Contains(updates, s) })
	if len(opened) == 0 {
		l.t.Fatalf("no session with %v in the capture", addr)
	}
	out, err := l.ask("tshark", "-r", c.file, "-q", "-z", "follow,tcp,raw,"+opened[0])
	l.must(err)
	// What the first node sent is in lines of hexadecimal digits, the second's has a
	// tab before it.
	var first string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if node, ok := strings.CutPrefix(line, "Node 0: "); ok {
			first = node
		}
		text, second := strings.CutPrefix(line, "\t")
		b, err := hex.DecodeString(text)
		if err != nil {
			continue
		}
		if second == strings.HasPrefix(first, addr.String()+":") {
			to = append(to, b...)
		} else {
			from = append(from, b...)
		}
	}
	return to, from
}
