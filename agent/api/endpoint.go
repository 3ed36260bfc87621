package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// endpoint is one API key: the versions it shows, the lowest it accepts, and its handler.
type endpoint struct {
	key      int16
	min, max int16
	accepted int16 // lowest accepted version; >= min
	request  func() kmsg.Request
	shape    []field
	handle   func(*Router, context.Context, *call, kmsg.Request) (answer, error)
}

// endpoints holds every implemented key. It is filled by the init functions of the key files and read only after.
var endpoints = map[int16]*endpoint{}

// handler is the first half of a key's handling. It owns req and runs on the connection's reader, in order.
type handler[Q kmsg.Request] func(rt *Router, ctx context.Context, c *call, req Q) (answer, error)

// register adds a key with the versions [min, max].
func register[Q kmsg.Request](min, max int16, h handler[Q]) *endpoint {
	var zero Q
	key := zero.Key()
	e := &endpoint{
		key: key, min: min, max: max, accepted: min,
		request: func() kmsg.Request { return kmsg.RequestForKey(key) },
		shape:   shapeOf(key),
		handle: func(rt *Router, ctx context.Context, c *call, req kmsg.Request) (answer, error) {
			return h(rt, ctx, c, req.(Q))
		},
	}
	endpoints[key] = e
	return e
}

// maxVersion is the highest version of an implemented key.
func maxVersion(key int16) int16 { return endpoints[key].max }

// sortedEndpoints lists the endpoints by key.
func sortedEndpoints() []*endpoint {
	all := make([]*endpoint, 0, len(endpoints))
	for _, e := range endpoints {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return int(a.key) - int(b.key) })
	return all
}

// KeyName names the API key of a frame for metrics and logs: "unknown" for what is not implemented.
func KeyName(frame []byte) string {
	if len(frame) < 2 {
		return "unknown"
	}
	key := int16(uint16(frame[0])<<8 | uint16(frame[1]))
	if endpoints[key] == nil {
		return "unknown"
	}
	return kmsg.NameForKey(key)
}
