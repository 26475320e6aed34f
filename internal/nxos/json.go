package nxos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// object is a JSON object whose fields keep their order.
type object []field

type field struct {
	key   string
	value any
}

// MarshalJSON writes the fields in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(f.key)
		b.Write(key)
		b.WriteByte(':')
		if err := encode(&b, f.value); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.key, err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// encode writes a value as it is: '>' is a letter of show ip bgp, and nobody puts
// the output into HTML.
func encode(b *bytes.Buffer, value any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

// str adds a field whose value is text, as all of NX-OS's are.
func (o object) str(key string, value any) object {
	return append(o, field{key, fmt.Sprint(value)})
}

// table adds rows in NX-OS's shape: one row is an object, several are a list, none
// leave the table out.
func (o object) table(name string, rows []object) object {
	var value any = rows
	switch len(rows) {
	case 0:
		return o
	case 1:
		value = rows[0]
	}
	return append(o, field{"TABLE_" + name, object{{"ROW_" + name, value}}})
}

// clock is a time span as show commands print it: 00:00:41, 1d02h, 10w4d, 1y17w.
func clock(d time.Duration) string {
	d = max(d, 0)
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	const year = 365 * day
	switch {
	case d < day:
		s := int(d / time.Second)
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	case d < week:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	case d < year:
		return fmt.Sprintf("%dw%dd", d/week, d%week/day)
	}
	return fmt.Sprintf("%dy%dw", d/year, d%year/week)
}

// iso is a time span as JSON output has it: PT41S, P1DT2H, P15DT16H28M27S (ISO
// 8601).
func iso(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	if s == 0 {
		return "PT0S"
	}
	var b strings.Builder
	b.WriteByte('P')
	if days := s / 86400; days > 0 {
		fmt.Fprintf(&b, "%dD", days)
	}
	if s %= 86400; s > 0 {
		b.WriteByte('T')
	}
	for _, unit := range []struct {
		seconds int64
		letter  byte
	}{{3600, 'H'}, {60, 'M'}, {1, 'S'}} {
		if n := s / unit.seconds; n > 0 {
			fmt.Fprintf(&b, "%d%c", n, unit.letter)
		}
		s %= unit.seconds
	}
	return b.String()
}
