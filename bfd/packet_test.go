package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Bytes written by hand from RFC 5880 §4.1 and §4.4; the digest is sha1sum's.
func TestGoldenPackets(t *testing.T) {
	key := []byte("secret")
	for _, tt := range []struct {
		name, hex string
		want      Packet
	}{
		{"first packet", "20 40 03 18 00000001 00000000 000f4240 000493e0 00000000", Packet{
			State: Down, DetectMult: 3, MyDiscriminator: 1,
			DesiredMinTx: time.Second, RequiredMinRx: 300 * time.Millisecond,
		}},
		{"up, polling, echo", "20 e0 05 18 01020304 0a0b0c0d 0000c350 0000c350 00002710", Packet{
			State: Up, Poll: true, DetectMult: 5, MyDiscriminator: 0x01020304, YourDiscriminator: 0x0a0b0c0d,
			DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond, RequiredMinEchoRx: 10 * time.Millisecond,
		}},
		{"every flag, largest values", "3f 9a ff 18 ffffffff ffffffff ffffffff ffffffff ffffffff", Packet{
			Diag: 31, State: Init, Final: true, ControlPlaneIndependent: true, Demand: true, DetectMult: 255,
			MyDiscriminator: 0xffffffff, YourDiscriminator: 0xffffffff,
			DesiredMinTx: 4294967295 * time.Microsecond, RequiredMinRx: 4294967295 * time.Microsecond,
			RequiredMinEchoRx: 4294967295 * time.Microsecond,
		}},
		{"meticulous SHA-1", "27 04 03 34 00000001 00000002 000f4240 000493e0 00000000" +
			"05 1c 07 00 00000009 77b9f24988848538a83e4c38f848f22dc273367c", Packet{
			Diag: DiagAdminDown, State: AdminDown, DetectMult: 3, MyDiscriminator: 1, YourDiscriminator: 2,
			DesiredMinTx: time.Second, RequiredMinRx: 300 * time.Millisecond,
			Auth: AuthSection{Type: AuthMeticulousSHA1, KeyID: 7, Sequence: 9},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			got, err := Decode(b)
			if err != nil || got != tt.want {
				t.Fatalf("decoded %+v, %v; want %+v", got, err, tt.want)
			}
			if out := got.Append(nil, key); !bytes.Equal(out, b) {
				t.Errorf("encoded %x, want %x", out, b)
			}
			// Behind other octets, and with octets behind.
			if p, err := Decode(append(got.Append([]byte("x"), key)[1:], 1, 2, 3)); err != nil || p != tt.want {
				t.Errorf("decoded %+v, %v", p, err)
			}
		})
	}
}

// Every check of RFC 5880 §6.8.6 that needs no session.
func TestDecodeDiscards(t *testing.T) {
	good := "20 c0 03 18 00000001 00000002 000f4240 000493e0 00000000"
	at := func(i int, b byte) func([]byte) []byte {
		return func(p []byte) []byte { p[i] = b; return p }
	}
	with := func(hex string, edit ...func([]byte) []byte) func([]byte) []byte {
		return func(p []byte) []byte {
			p = append(p, unhex(t, hex)...)
			p[1] |= bitAuth
			p[3] = byte(len(p))
			for _, f := range edit {
				p = f(p)
			}
			return p
		}
	}
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for _, tt := range []struct {
		name string
		edit func([]byte) []byte
		want error
	}{
		{"good", func(p []byte) []byte { return p }, nil},
		{"octets behind", func(p []byte) []byte { return append(p, 9, 9) }, nil},
		{"empty", func([]byte) []byte { return nil }, DiscardShort},
		{"23 octets", func(p []byte) []byte { return p[:23] }, DiscardShort},
		{"version 0", at(0, 0x00), DiscardVersion},
		{"version 2", at(0, 0x40), DiscardVersion},
		{"version 7", at(0, 0xe0), DiscardVersion},
		{"length 23", at(3, 23), DiscardLength},
		{"length 0", at(3, 0), DiscardLength},
		{"length beyond", at(3, 25), DiscardLength},
		{"signed, length 24", at(1, 0xc4), DiscardLength},
		{"multiplier 0", at(2, 0), DiscardDetectMult},
		{"multipoint", at(1, 0xc1), DiscardMultipoint},
		{"my discriminator 0", at(7, 0), DiscardMyDiscriminator},
		{"your discriminator 0, Up", at(11, 0), DiscardYourDiscriminator},
		{"your discriminator 0, Init", func(p []byte) []byte { p[11], p[1] = 0, 0x80; return p }, DiscardYourDiscriminator},
		{"your discriminator 0, Down", func(p []byte) []byte { p[11], p[1] = 0, 0x40; return p }, nil},
		{"your discriminator 0, AdminDown", func(p []byte) []byte { p[11], p[1] = 0, 0x00; return p }, nil},
		{"section of two octets", with("0402"), DiscardAuthSection},
		{"section length 0", with("0400"), DiscardAuthSection},
		{"section longer than the packet", with("041d0100" + zeros(24)), DiscardAuthSection},
		{"SHA-1", with("041c0100" + zeros(24)), nil},
		{"SHA-1, octets behind the section", with("041c0100" + zeros(25)), DiscardAuthSection},
		{"SHA-1 as long as MD5", with("04180100" + zeros(20)), DiscardAuthSection},
		{"MD5", with("02180100" + zeros(20)), nil},
		{"meticulous MD5, short", with("03170100" + zeros(19)), DiscardAuthSection},
		{"password", with("01040141"), nil},
		{"password, empty", with("010301"), DiscardAuthSection},
		{"password of 17", with("011401" + zeros(17)), DiscardAuthSection},
		{"type 0", with("00040000"), DiscardAuthType},
		{"type 6", with("06040000"), DiscardAuthType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Decode(tt.edit(unhex(t, good))); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestIntervalsFitTheWire(t *testing.T) {
	p := Packet{DetectMult: 1, MyDiscriminator: 1, State: Down, DesiredMinTx: 100 * time.Hour, RequiredMinRx: -1, RequiredMinEchoRx: 1500}
	got, err := Decode(p.Append(nil, nil))
	if err != nil || got.DesiredMinTx != (1<<32-1)*time.Microsecond || got.RequiredMinRx != 0 || got.RequiredMinEchoRx != time.Microsecond {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestVerify(t *testing.T) {
	auth := &Auth{Type: AuthKeyedSHA1, KeyID: 3, Key: "correct-horse"}
	p := Packet{State: Up, DetectMult: 3, MyDiscriminator: 1, YourDiscriminator: 2, Auth: AuthSection{Type: AuthKeyedSHA1, KeyID: 3, Sequence: 5}}
	signed := p.Append(nil, []byte(auth.Key))
	plain := p
	plain.Auth = AuthSection{}
	unsigned := plain.Append(nil, nil)
	forged := bytes.Clone(signed)
	forged[2]++
	for _, tt := range []struct {
		name string
		auth *Auth
		raw  []byte
		want Discard
	}{
		{"none wanted, none there", nil, unsigned, DiscardNone},
		{"none wanted", nil, signed, DiscardAuthUnexpected},
		{"none there", auth, unsigned, DiscardAuthMissing},
		{"right", auth, signed, DiscardNone},
		{"changed on the way", auth, forged, DiscardAuthDigest},
		{"another key", &Auth{AuthKeyedSHA1, 3, "correct-horsf"}, signed, DiscardAuthDigest},
		{"a key that begins alike", &Auth{AuthKeyedSHA1, 3, "correct"}, signed, DiscardAuthDigest},
		{"another number", &Auth{AuthKeyedSHA1, 4, "correct-horse"}, signed, DiscardAuthKey},
		{"another type", &Auth{AuthMeticulousSHA1, 3, "correct-horse"}, signed, DiscardAuthType},
	} {
		got, err := Decode(tt.raw)
		if err != nil {
			t.Fatal(err)
		}
		if d := tt.auth.verify(&got, tt.raw); d != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, d, tt.want)
		}
	}
}

// A key is in nothing that is printed.
func TestKeyIsHidden(t *testing.T) {
	c := Config{Name: "a", Auth: &Auth{Type: AuthKeyedSHA1, KeyID: 1, Key: "hunter2"}}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "auth", c.Auth, "config", c)
	text, _ := c.Auth.MarshalText()
	if all := fmt.Sprintf("%v %+v %#v %s %s %s", c, c.Auth, c.Auth, c.Auth, text, log.String()); strings.Contains(all, "hunter2") {
		t.Error(all)
	}
}

func BenchmarkCodec(b *testing.B) {
	p := Packet{State: Up, DetectMult: 3, MyDiscriminator: 1, YourDiscriminator: 2, DesiredMinTx: 50 * time.Millisecond, RequiredMinRx: 50 * time.Millisecond}
	buf := make([]byte, 0, MaxPacketLen)
	b.ReportAllocs()
	for b.Loop() {
		buf = p.Append(buf[:0], nil)
		if _, err := Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
