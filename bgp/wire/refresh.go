package wire

import "encoding/binary"

// Subtypes of ROUTE-REFRESH (RFC 7313 §3.2).
const (
	RefreshRequest uint8 = 0
	RefreshBegin   uint8 = 1 // beginning of a route refresh
	RefreshEnd     uint8 = 2 // end of a route refresh
)

// RouteRefresh is a ROUTE-REFRESH message (RFC 2918 §3, RFC 7313 §3.2). A family or subtype that was not
// negotiated is to be ignored by the receiver.
type RouteRefresh struct {
	Family
	Subtype uint8
	ORF     []byte // outbound route filter entries as they came (RFC 5291 §5); nil when there are none
}

// DecodeRouteRefresh reads the body of a ROUTE-REFRESH. The error is a *Notification; its data is the whole message
// (RFC 7313 §5).
func DecodeRouteRefresh(body []byte) (*RouteRefresh, error) {
	if len(body) < 4 {
		return nil, &Notification{Code: CodeHeader, Subcode: SubHeaderBadLength, Data: lengthField(len(body))}
	}
	r := &RouteRefresh{Family: Family{binary.BigEndian.Uint16(body), body[3]}, Subtype: body[2]}
	if len(body) == 4 {
		return r, nil
	}
	if r.Subtype == RefreshBegin || r.Subtype == RefreshEnd {
		whole := finish(append(appendHeader(nil, TypeRouteRefresh), body...), 0)
		return nil, &Notification{Code: CodeRouteRefresh, Subcode: SubRouteRefreshLength, Data: whole}
	}
	r.ORF = append([]byte(nil), body[4:]...)
	return r, nil
}

// AppendRouteRefresh appends a ROUTE-REFRESH message.
func AppendRouteRefresh(dst []byte, r RouteRefresh) []byte {
	start := len(dst)
	dst = appendHeader(dst, TypeRouteRefresh)
	dst = append(dst, byte(r.AFI>>8), byte(r.AFI), r.Subtype, r.SAFI)
	return finish(append(dst, r.ORF...), start)
}
