package dptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

// datagrams checks that what comes from one UDP port stays with its pod while nodes
// leave and come back.
func (d *direct) datagrams(t *testing.T) {
	d.Serve(t, d.family, pharos.UDP)
	defer d.RestoreAll(t)
	c := d.Connect(t)
	check := func(when string) {
		t.Helper()
		each(len(c.all), 8, func(i int) {
			l := c.all[i]
			if o, err := Greet(l, pharos.UDP, patience); err != nil || d.who(o.Backend) != l.pod || o.Source != l.from.Addr() {
				t.Errorf("%s: %s had %s; now %s, which saw %s, error %v", when, l.from, l.pod, d.who(o.Backend), o.Source, err)
			}
		})
		d.agree(t, when, c)
	}
	check("at first")
	for _, m := range d.Members {
		d.Withdraw(t, m.Name)
		check(m.Name + " is withdrawn")
		d.Restore(t, m.Name)
	}
	check("all are back")
	d.RemovePod(t, "n3b")
	check2 := 0
	each(len(c.all), 1, func(i int) {
		if l := c.all[i]; l.pod == "n3b" {
			check2++
			o, err := Greet(l, pharos.UDP, patience)
			if err != nil || d.who(o.Backend) == "n3b" {
				t.Errorf("a pod is gone: %s gets %s, error %v", l.from, d.who(o.Backend), err)
			}
		}
	})
	if check2 == 0 {
		t.Error("no port had the pod that is gone")
	}
}

// fragments sends datagrams that no packet holds, and some that a tunnel doesn't.
func (d *direct) fragments(t *testing.T) {
	if d.options.Split && d.options.Whole {
		return
	}
	d.Serve(t, d.family, pharos.UDP)
	defer d.RestoreAll(t)
	for _, m := range d.Members {
		d.Alone(t, m.Name)
		for range 10 {
			l, err := d.open(d.source())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			for _, size := range []int{1460, 4000} {
				got, err := l.ask(size)
				if err != nil {
					t.Errorf("by %s to %s: a datagram of %d bytes: %v", m.Name, l.pod, size, err)
					continue
				}
				if who, n, _ := strings.Cut(got, "\n"); n != fmt.Sprintln(size) || !strings.HasPrefix(who, d.pod(t, l.pod).Addrs[d.family.index()].String()) {
					t.Errorf("by %s to %s: a datagram of %d bytes is answered with %q", m.Name, l.pod, size, got)
				}
			}
		}
	}
}

// ask sends a datagram and returns the answer. It sends it again in smaller fragments
// where it is told that a path takes no more, as one with a tunnel does.
func (l *long) ask(size int) (string, error) {
	l.SetDeadline(time.Now().Add(patience))
	b := make([]byte, 200)
	for tries := 0; ; tries++ {
		_, err := l.Write(make([]byte, size))
		n := 0
		if err == nil {
			n, err = l.Read(b)
		}
		if err == nil || tries == 2 || !errors.Is(err, syscall.EMSGSIZE) {
			return string(b[:n]), err
		}
	}
}

// pathMTU sends much both ways: at first over a path as wide as the nodes' segment, then
// the router's way to the client takes smaller packets alone, and its errors about those of pods
// come to a node that has none of the connections.
func (d *direct) pathMTU(t *testing.T) {
	d.Serve(t, d.family, pharos.TCP)
	defer d.RestoreAll(t)
	for i, m := range d.Members {
		d.Alone(t, m.Name)
		client := d.family.Clients[clients-1-i]
		var here, elsewhere []*long
		for len(here) < 2 || len(elsewhere) < 4 {
			l, err := d.open(netip.AddrPortFrom(client, d.source().Port()))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if d.pod(t, l.pod).Node == m.Name {
				here = append(here, l)
			} else {
				elsewhere = append(elsewhere, l)
			}
		}
		for _, narrow := range []bool{false, true} {
			if narrow {
				if err := d.Router.ReplaceRoute(netip.PrefixFrom(client, client.BitLen()), 1300, client); err != nil {
					t.Fatal(err)
				}
			}
			for _, l := range append(here[:2:2], elsewhere[:4]...) {
				if err := l.flood(256 << 10); err != nil {
					t.Errorf("by %s to %s, narrow %v: %v", m.Name, l.pod, narrow, err)
				}
			}
		}
	}
}

// flood sends n bytes and reads them back.
func (l *long) flood(n int) error {
	l.SetDeadline(time.Now().Add(patience))
	data := bytes.Repeat([]byte("much"), n/4)
	wrote := make(chan error, 1)
	go func() {
		_, err := l.Write(data)
		wrote <- err
	}()
	got := make([]byte, len(data))
	m, err := io.ReadFull(l, got)
	if err != nil {
		l.SetDeadline(time.Now())
		<-wrote
		return fmt.Errorf("%d of %d bytes came back: %w", m, n, err)
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("what came back is not what was sent")
	}
	return <-wrote
}
