package wire

import "encoding/binary"

// Shutdown returns a Cease with an operator's text for subcode SubCeaseShutdown or SubCeaseReset (RFC 9003 §2).
// Text longer than 255 octets is cut at a character's boundary.
func Shutdown(subcode uint8, text string) *Notification {
	text = cut(text, 255)
	return &Notification{Code: CodeCease, Subcode: subcode, Data: append([]byte{byte(len(text))}, text...)}
}

// ShutdownText returns the operator's text of an administrative shutdown or reset, fit for a log: invalid UTF-8
// and characters that do not print are replaced. ok is false when there is none or its length octet is wrong
// (RFC 9003 §2, §3).
func (n *Notification) ShutdownText() (text string, ok bool) {
	if n.Code != CodeCease || n.Subcode != SubCeaseShutdown && n.Subcode != SubCeaseReset || len(n.Data) == 0 {
		return "", false
	}
	size := int(n.Data[0])
	if size > len(n.Data)-1 {
		return "", false
	}
	return printable(n.Data[1 : 1+size]), true
}

// HardReset wraps a notification so that a peer which resumes sessions after NOTIFICATIONs does not resume this one
// (RFC 8538 §3.1).
func HardReset(n *Notification) *Notification {
	return &Notification{Code: CodeCease, Subcode: SubCeaseHardReset, Data: append([]byte{n.Code, n.Subcode}, n.Data...)}
}

// HardReset tells if the notification asks for the session not to be resumed, and returns the one that says why
// (RFC 8538 §3.1): a Cease without a subcode where it holds none. The inner data is shared.
func (n *Notification) HardReset() (inner *Notification, ok bool) {
	if n.Code != CodeCease || n.Subcode != SubCeaseHardReset {
		return nil, false
	}
	if len(n.Data) < 2 {
		return &Notification{Code: CodeCease}, true
	}
	return &Notification{Code: n.Data[0], Subcode: n.Data[1], Data: n.Data[2:]}, true
}

// MaxPrefixes returns the Cease for a peer that sent more than limit prefixes of a family (RFC 4486 §4).
func MaxPrefixes(f Family, limit uint32) *Notification {
	data := binary.BigEndian.AppendUint32(appendFamily(nil, f), limit)
	return &Notification{Code: CodeCease, Subcode: SubCeaseMaxPrefixes, Data: data}
}

// MaxPrefixes returns the family and limit of a Cease for too many prefixes. They are optional: ok is false when
// there are none or they have the wrong length (RFC 4486 §4).
func (n *Notification) MaxPrefixes() (f Family, limit uint32, ok bool) {
	if n.Code != CodeCease || n.Subcode != SubCeaseMaxPrefixes || len(n.Data) != 7 {
		return Family{}, 0, false
	}
	return familyAt(n.Data), binary.BigEndian.Uint32(n.Data[3:]), true
}
