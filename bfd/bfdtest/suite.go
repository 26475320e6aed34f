package bfdtest

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bfd"
)

// End is one of two ends that reach each other directly.
type End struct {
	bfd.Transport
	Addr netip.Addr
	// Device is the network device towards the other end.
	Device string
}

// patience is how long a datagram may take.
const patience = 10 * time.Second

// TestTransport is what every transport has to pass. ends makes two of them.
func TestTransport(t *testing.T, ends func(*testing.T) (a, b End)) {
	open := func(t *testing.T, from, to End, edit ...func(*bfd.Path)) bfd.Endpoint {
		t.Helper()
		p := bfd.Path{Remote: to.Addr}
		for _, f := range edit {
			f(&p)
		}
		e, err := from.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		return e
	}
	send := func(t *testing.T, e bfd.Endpoint, b string) {
		t.Helper()
		if err := e.Send([]byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	// receive waits for n datagrams.
	receive := func(t *testing.T, e End, n int) (all []bfd.Datagram) {
		t.Helper()
		buf := make([]bfd.Datagram, 4)
		for end := time.Now().Add(patience); len(all) < n; {
			if err := e.Wait(end, true); err != nil {
				t.Fatal(err)
			}
			got, _, err := e.Receive(buf)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range buf[:got] {
				d.Data = bytes.Clone(d.Data)
				all = append(all, d)
			}
			if got == 0 && !time.Now().Before(end) {
				t.Fatalf("%d datagrams came, not %d", len(all), n)
			}
		}
		return all
	}

	t.Run("delivers", func(t *testing.T) {
		a, b := ends(t)
		for _, multihop := range []bool{false, true} {
			kind := bfd.SingleHop
			if multihop {
				kind = bfd.Multihop
			}
			before := time.Now()
			send(t, open(t, a, b, func(p *bfd.Path) { p.Multihop = multihop }), "hello")
			d := receive(t, b, 1)[0]
			if string(d.Data) != "hello" || d.Kind != kind || d.Source != a.Addr || d.Destination != b.Addr || d.TTL != 255 || d.Interface <= 0 {
				t.Errorf("%+v", d)
			}
			// The kernel's clock is another than the process's: a little leeway.
			if d.At.Before(before.Add(-time.Millisecond)) || d.At.After(time.Now()) {
				t.Errorf("received at %v, sent after %v, looked at before %v", d.At, before, time.Now())
			}
		}
	})
	t.Run("delivers on a device", func(t *testing.T) {
		a, b := ends(t)
		e := open(t, a, b, func(p *bfd.Path) { p.Local, p.Interface = a.Addr, a.Device })
		send(t, e, "x")
		there := receive(t, b, 1)[0]
		back := open(t, b, a, func(p *bfd.Path) { p.Interface = b.Device })
		if back.Interface() != there.Interface {
			t.Errorf("came in by %d, the device is %d", there.Interface, back.Interface())
		}
		send(t, back, "y")
		if d := receive(t, a, 1)[0]; d.Interface != e.Interface() || string(d.Data) != "y" {
			t.Errorf("%+v, device %d", d, e.Interface())
		}
	})
	t.Run("keeps the order", func(t *testing.T) {
		a, b := ends(t)
		e := open(t, a, b)
		var want []byte
		for i := range byte(100) {
			send(t, e, string([]byte{i}))
			want = append(want, i)
		}
		var got []byte
		var last time.Time
		for _, d := range receive(t, b, len(want)) {
			got = append(got, d.Data...)
			if d.At.Before(last) {
				t.Errorf("%v after %v", d.At, last)
			}
			last = d.At
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("tells up to when it heard", func(t *testing.T) {
		a, b := ends(t)
		e := open(t, a, b)
		for range 3 {
			send(t, e, "x")
		}
		all := receive(t, b, 3)
		one := make([]bfd.Datagram, 1)
		// A datagram may have come while others were taken; only that there is nothing
		// more tells of all of them.
		n, quiet, err := b.Receive(one)
		if err != nil || n != 0 || quiet.Before(all[2].At) || quiet.After(time.Now()) {
			t.Errorf("%d, %v, %v: there is nothing more, and the last came at %v", n, quiet, err, all[2].At)
		}
		for range 3 {
			send(t, e, "y")
		}
		if err := b.Wait(time.Now().Add(patience), true); err != nil {
			t.Fatal(err)
		}
		n, heard, err := b.Receive(one)
		if err != nil || n != 1 || heard.Before(quiet) || one[0].At.Before(heard) {
			t.Errorf("%d, %v, %v: there is more, of %v, and nothing was there at %v", n, heard, err, one[0].At, quiet)
		}
		before := time.Now()
		for left := 2; left > 0; {
			n, _, err = b.Receive(one)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
			if time.Since(before) > patience {
				t.Fatal("lost")
			}
		}
		before = time.Now()
		if n, heard, err = b.Receive(one); n != 0 || err != nil || heard.Before(before) {
			t.Errorf("%d, %v, %v: there is nothing more", n, heard, err)
		}
	})
	t.Run("waits", func(t *testing.T) {
		a, b := ends(t)
		until := time.Now().Add(20 * time.Millisecond)
		if err := b.Wait(until, true); err != nil || time.Now().Before(until) {
			t.Error(err, "returned early")
		}
		send(t, open(t, a, b), "x")
		until = time.Now().Add(20 * time.Millisecond)
		if err := b.Wait(until, false); err != nil || time.Now().Before(until) {
			t.Error(err, "packets ended a wait that was not for them")
		}
		receive(t, b, 1)
		b.Wake()
		if err := b.Wait(time.Time{}, false); err != nil { // or it never returns
			t.Error(err)
		}
		until = time.Now().Add(20 * time.Millisecond)
		if err := b.Wait(until, true); err != nil || time.Now().Before(until) {
			t.Error(err, "woken twice")
		}
		until = time.Now().Add(-time.Second)
		if err := b.Wait(until, true); err != nil {
			t.Error(err)
		}
		done := make(chan error, 1)
		go func() { done <- b.Wait(time.Time{}, true) }()
		b.Wake()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Run("loops echoes back", func(t *testing.T) {
		a, b := ends(t)
		e := open(t, a, b, func(p *bfd.Path) { p.Interface = a.Device })
		echo := (&bfd.Echo{Discriminator: 1, Sequence: 2, Cookie: 3}).Append(nil)
		send(t, e, "so that the neighbor is known")
		receive(t, b, 1)
		if err := e.SendEcho(echo); err != nil {
			t.Fatal(err)
		}
		d := receive(t, a, 1)[0]
		if d.Kind != bfd.EchoPacket || !bytes.Equal(d.Data, echo) {
			t.Errorf("%+v", d)
		}
	})
	t.Run("refuses what there is not", func(t *testing.T) {
		a, b := ends(t)
		if _, err := a.Open(bfd.Path{Remote: b.Addr, Interface: "nosuch0"}); err == nil {
			t.Error("a path over no device")
		}
		if _, err := a.Open(bfd.Path{Remote: b.Addr, Local: b.Addr}); err == nil {
			t.Error("a path from another's address")
		}
	})
}
