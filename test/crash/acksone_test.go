//go:build linux

package crash

import (
	"context"
	"encoding/binary"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
)

// acksOneOnTheWire makes an idempotent producer send acks=1, which the protocol allows and franz-go does not offer.
func acksOneOnTheWire() kgo.Opt {
	return kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, host)
		return acksOneConn{c}, err
	})
}

// acksOneConn changes the acks of Produce requests. franz-go writes each request with one Write.
type acksOneConn struct{ net.Conn }

func (c acksOneConn) Write(b []byte) (int, error) {
	if at, ok := acksAt(b); ok {
		binary.BigEndian.PutUint16(b[at:], 1)
	}
	return c.Conn.Write(b)
}

// acksAt finds the acks in a frame: size 4, api key 2, version 2, correlation id 4, client id 2+n, tags, transactional id
// (null), acks 2.
func acksAt(b []byte) (int, bool) {
	if len(b) < 14 || binary.BigEndian.Uint16(b[4:]) != 0 {
		return 0, false
	}
	at := 14
	if n := int16(binary.BigEndian.Uint16(b[12:])); n > 0 {
		at += int(n)
	}
	at += 2 // null as a string; from version 9 on: no tags, null as a compact string
	return at, at+2 <= len(b) && int16(binary.BigEndian.Uint16(b[at:])) == -1
}
