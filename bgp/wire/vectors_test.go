package wire

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"
)

// vectors returns the content of a file of the public test data that may lie beside the repository, in
// shared/vectors/bgp of some directory above. ok is false where it does not: the data is not part of the project,
// and what the package must do is tested without it.
func vectors(t *testing.T, name string) (data []byte, ok bool) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "shared", "vectors", "bgp", name))
		if err == nil {
			return data, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Logf("%s is not there; the cross-check with it is left out", name)
			return nil, false
		}
		dir = parent
	}
}

type vectorMessage struct {
	ID      string
	Core    bool
	ASN4    bool
	AddPath [][2]int // family numbers
	Hex     string
	Expect  struct {
		Type string
		Open *struct {
			Version  uint8
			AS       uint16 `json:"my_as"`
			HoldTime uint16 `json:"hold_time"`
			ID       string `json:"bgp_id"`
			Caps     []struct {
				Code  uint8
				Value string
				AFI   uint16
				SAFI  uint8
				ASN   uint32
				Name  string

				Restart      bool `json:"restart_state"`
				Notification bool
				Time         int        `json:"restart_time"`
				Families     [][]uint32 // family and flags, for long-lived graceful restart also the time
				Tuples       [][]uint32 // family and mode
				Role         *Role
			} `json:"capabilities"`
		}
		Notification *struct {
			Code, Subcode uint8
			Data          string
			Text          *string `json:"shutdown_communication"`
		}
		Refresh *struct {
			AFI     uint16
			Subtype uint8
			SAFI    uint8
			ORF     string
		} `json:"route_refresh"`
		Update *struct {
			Withdrawn []vectorPrefix
			NLRI      []vectorPrefix
			Attrs     vectorAttrs
			Other     []struct {
				Type  uint8
				Flags uint8
				Value string
			}
			EOR struct {
				AFI  uint16
				SAFI uint8
			}
		}
	}
	VerifiedBy []string `json:"verified_by"`
}

func TestVectorMessages(t *testing.T) {
	data, ok := vectors(t, "messages.jsonl")
	if !ok {
		return
	}
	checked, left := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var m vectorMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		if !m.Core || len(m.VerifiedBy) < 2 {
			left++
			t.Run(m.ID, func(t *testing.T) { checkVectorLeft(t, &m) })
			continue
		}
		checked++
		t.Run(m.ID, func(t *testing.T) { checkVectorMessage(t, &m) })
	}
	t.Logf("%d messages checked, %d left out", checked, left)
	if checked < 260 {
		t.Errorf("only %d messages were checked", checked)
	}
}

func frameVector(t *testing.T, m *vectorMessage) (raw []byte, msg Message) {
	raw, err := hex.DecodeString(m.Hex)
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(raw))
	r.SetMaxLen(MaxExtendedLen)
	if msg, err = r.Next(); err != nil {
		t.Fatal(err)
	}
	return raw, msg
}

// checkVectorLeft: families and attributes that this package does not read must not end a session.
func checkVectorLeft(t *testing.T, m *vectorMessage) {
	if _, msg := frameVector(t, m); msg.Type == TypeUpdate {
		if r := vectorSession(m.ASN4).DecodeUpdate(msg.Body, new(Update)); r.Outcome == SessionReset {
			t.Errorf("%v", r.Findings)
		}
	}
}

func checkVectorMessage(t *testing.T, m *vectorMessage) {
	raw, msg := frameVector(t, m)
	if msg.Type.String() != m.Expect.Type {
		t.Fatalf("type %v, want %s", msg.Type, m.Expect.Type)
	}
	switch msg.Type {
	case TypeKeepalive:
		if got := AppendKeepalive(nil); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeNotification:
		want := m.Expect.Notification
		n, err := DecodeNotification(msg.Body)
		if err != nil {
			t.Fatal(err)
		}
		if n.Code != want.Code || n.Subcode != want.Subcode || hex.EncodeToString(n.Data) != want.Data {
			t.Errorf("got %+v, want %+v", n, want)
		}
		if text, ok := n.ShutdownText(); want.Text != nil && (!ok || text != *want.Text) {
			t.Errorf("text %q, want %q", text, *want.Text)
		}
		if got := AppendNotification(nil, n); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeRouteRefresh:
		want := m.Expect.Refresh
		rr, err := DecodeRouteRefresh(msg.Body)
		if err != nil {
			t.Fatal(err)
		}
		if rr.AFI != want.AFI || rr.SAFI != want.SAFI || rr.Subtype != want.Subtype || hex.EncodeToString(rr.ORF) != want.ORF {
			t.Errorf("got %+v, want %+v", rr, want)
		}
		if got := AppendRouteRefresh(nil, *rr); !bytes.Equal(got, raw) {
			t.Errorf("encoded again: %x", got)
		}
	case TypeOpen:
		checkVectorOpen(t, m, msg.Body)
	case TypeUpdate:
		checkVectorUpdate(t, m, msg.Body)
	}
}

func checkVectorOpen(t *testing.T, m *vectorMessage, body []byte) {
	want := m.Expect.Open
	o, err := DecodeOpen(body)
	if err != nil {
		t.Fatal(err)
	}
	if o.Version != want.Version || o.AS != want.AS || o.HoldTime != want.HoldTime || o.ID.String() != want.ID ||
		len(o.Capabilities) != len(want.Caps) {
		t.Fatalf("got %+v, want %+v", o, want)
	}
	for i, c := range o.Capabilities {
		w := want.Caps[i]
		if c.Code != w.Code || hex.EncodeToString(c.Value) != w.Value {
			t.Errorf("capability %d: got %+v, want %+v", i, c, w)
		}
		if f, ok := c.MultiProtocol(); ok && f != (Family{w.AFI, w.SAFI}) {
			t.Errorf("family %v, want %v/%v", f, w.AFI, w.SAFI)
		}
		if as, ok := c.FourOctetAS(); ok && as != w.ASN {
			t.Errorf("AS %d, want %d", as, w.ASN)
		}
		if g, ok := c.GracefulRestart(); ok {
			want := GracefulRestart{Restarting: w.Restart, Notification: w.Notification, Time: time.Duration(w.Time) * time.Second}
			for _, f := range w.Families {
				want.Families = append(want.Families, GracefulFamily{Family{uint16(f[0]), uint8(f[1])}, f[2]&0x80 != 0})
			}
			if !reflect.DeepEqual(g, want) {
				t.Errorf("graceful restart %+v, want %+v", g, want)
			}
		}
		if got, ok := c.LongLived(); ok {
			var want []LongLivedFamily
			for _, f := range w.Families {
				want = append(want, LongLivedFamily{Family{uint16(f[0]), uint8(f[1])}, f[2]&0x80 != 0, time.Duration(f[3]) * time.Second})
			}
			if !slices.Equal(got, want) {
				t.Errorf("long-lived graceful restart %+v, want %+v", got, want)
			}
		}
		if got, ok := c.AddPath(); ok {
			var want []AddPathFamily
			for _, f := range w.Tuples {
				want = append(want, AddPathFamily{Family{uint16(f[0]), uint8(f[1])}, AddPathMode(f[2])})
			}
			if !slices.Equal(got, want) {
				t.Errorf("additional paths %+v, want %+v", got, want)
			}
		}
		if r, ok := c.Role(); ok != (w.Role != nil) || ok && r != *w.Role {
			t.Errorf("role %v, want %v", r, w.Role)
		}
		if _, _, ok := c.FQDN(); ok != (w.Name == "fqdn") {
			t.Errorf("host name %x", c.Value)
		}
	}
	again, err := AppendOpen(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	o2, err := DecodeOpen(again[HeaderLen:])
	if err != nil || fmt.Sprint(o2) != fmt.Sprint(o) {
		t.Errorf("encoded again: %v, %v", o2, err)
	}
}
