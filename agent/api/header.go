package api

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// header is a request's header.
type header struct {
	key, version int16
	correlation  int32
	clientID     string
}

// readHeader takes the header off a frame and returns the rest:
//
//	key int16 | version int16 | correlation id int32 | client id nullable string | tags (flexible versions only)
//
// The client id is a short string in flexible versions too. Behind the version of an unknown ApiVersions nothing is
// known but that these fields come first (KIP-511).
func readHeader(b []byte) (header, []byte, error) {
	if len(b) < 8 {
		return header{}, nil, fmt.Errorf("%w: header of %d bytes", ErrMalformed, len(b))
	}
	h := header{
		key:         int16(binary.BigEndian.Uint16(b)),
		version:     int16(binary.BigEndian.Uint16(b[2:])),
		correlation: int32(binary.BigEndian.Uint32(b[4:])),
	}
	if h.version < 0 {
		return header{}, nil, fmt.Errorf("%w: key %d version %d", ErrUnsupported, h.key, h.version)
	}
	e, ok := endpoints[h.key]
	if !ok || h.version > e.max {
		return h, nil, nil
	}
	w := walker{b: b[8:], version: h.version}
	id, err := w.string(true)
	if err != nil {
		return header{}, nil, fmt.Errorf("client id: %w", err)
	}
	h.clientID = string(id)
	if flexibleHeader(h.key, h.version) {
		if err := w.tags(); err != nil {
			return header{}, nil, fmt.Errorf("header tags: %w", err)
		}
	}
	return h, w.b, nil
}

// flexibleHeader tells whether a request of this version carries tags in its header.
func flexibleHeader(key, version int16) bool {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	return req.IsFlexible()
}
