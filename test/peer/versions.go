package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var versionScenarios = []scenario{
	{"ApiVersions: every version", apiVersions},
	{"ApiVersions: bad names", apiVersionsNames},
	{"unknown keys and versions", unknownVersions},
}

func apiVersions(b *broker) {
	for _, v := range append(b.versions(kmsg.ApiVersions), 6, 100) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = "peer", "1.0", -1
		if v > 5 { // the body of an unknown version is not read
			req.SetVersion(5)
			ask[*kmsg.ApiVersionsResponse](b, "unknown version", v, &later{req, v})
			continue
		}
		ask[*kmsg.ApiVersionsResponse](b, "plain", v, req)
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = "peer", "1.0", -1
	req.ClusterID = kmsg.StringPtr("another")
	ask[*kmsg.ApiVersionsResponse](b, "a cluster without a node", 5, req)
	req.NodeID = 1
	ask[*kmsg.ApiVersionsResponse](b, "another cluster", 5, req)
	req.ClusterID = nil
	ask[*kmsg.ApiVersionsResponse](b, "a node without a cluster", 5, req)
}

// later is a request under a version number that kmsg does not know.
type later struct {
	kmsg.Request
	version int16
}

func (r *later) SetVersion(int16)            {}
func (r *later) GetVersion() int16           { return r.version }
func (r *later) AppendTo(dst []byte) []byte  { return r.Request.AppendTo(dst) }
func (r *later) ResponseKind() kmsg.Response { return r.Request.ResponseKind() }

func apiVersionsNames(b *broker) {
	for _, names := range [][2]string{{"", "1"}, {"peer", ""}, {"-peer", "1"}, {"peer.", "1"}, {"pe er", "1"}, {"p", "1.0-x"}, {"peer", "é"}} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.NodeID = names[0], names[1], -1
		ask[*kmsg.ApiVersionsResponse](b, fmt.Sprintf("%q %q", names[0], names[1]), 3, req)
	}
}

// unknownVersions sends a version below and one above those that are shown, of every key that both have.
func unknownVersions(b *broker) {
	for _, key := range slices.Sorted(maps.Keys(b.shown)) {
		mine, both := b.common[key]
		if !both || key == kmsg.ApiVersions.Int16() {
			continue
		}
		for _, v := range []int16{min(mine.min, b.shown[key].min) - 1, max(mine.max, b.shown[key].max) + 1} {
			req := kmsg.RequestForKey(key)
			req.SetVersion(min(max(v, 0), req.MaxVersion()))
			ask[kmsg.Response](b, "not shown", v, &later{req, v})
		}
	}
	for v := int16(0); v < 4; v++ {
		if v < 3 {
			ask[*kmsg.ProduceResponse](b, "old produce", v, kmsg.NewPtrProduceRequest())
		}
	}
}
