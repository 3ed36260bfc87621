package api

import (
	"context"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const apiVersionsKey = 18

func init() { register(0, 5, (*Router).apiVersions) }

// metadataVersion is the level of metadata.version that tools see: that of Kafka 4.0, which every 4.x tool knows.
const metadataVersion, oldestMetadataVersion = 25, 7

// softwareName is what KIP-511 allows as the name and version of a client.
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// apiVersions tells a client which keys and versions it may use, and which features are finalized (KIP-584). A client
// of version 5 says which cluster and agent it means to reach (KIP-1242). Only the cluster is checked: behind one
// balancer an address leads to any agent, and a client sent back to its bootstrap list would come here again.
func (rt *Router) apiVersions(_ context.Context, c *call, req *kmsg.ApiVersionsRequest) (answer, error) {
	resp := kmsg.NewPtrApiVersionsResponse()
	if c.version >= 3 {
		if !softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return now(resp), nil
		}
		c.conn.Software, c.conn.SoftwareVersion = req.ClientSoftwareName, req.ClientSoftwareVersion
	}
	info := rt.Cluster.State().Info()
	if c.version >= 5 {
		if (req.ClusterID == nil) != (req.NodeID == -1) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return now(resp), nil
		}
		if req.ClusterID != nil && *req.ClusterID != info.ID {
			resp.ErrorCode = kerr.RebootstrapRequired.Code
			return now(resp), nil
		}
	}
	resp.ApiKeys = advertised()
	resp.SupportedFeatures, resp.FinalizedFeatures = features(c.version)
	resp.FinalizedFeaturesEpoch = info.Next
	return now(resp), nil
}

// apiVersionsFallback answers a version that is not known, in version 0, with the list: the client picks from it and
// asks again (KIP-511).
func (rt *Router) apiVersionsFallback(*call) answer {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	resp.ApiKeys = advertised()
	return now(resp)
}

func advertised() []kmsg.ApiVersionsResponseApiKey {
	all := sortedEndpoints()
	keys := make([]kmsg.ApiVersionsResponseApiKey, len(all))
	for i, e := range all {
		keys[i] = kmsg.NewApiVersionsResponseApiKey()
		keys[i].ApiKey, keys[i].MinVersion, keys[i].MaxVersion = e.key, e.min, e.max
	}
	return keys
}

// features lists what is supported and what is finalized. Level 0 of a feature is the absence of it: it is supported,
// and not listed as finalized. Clients before version 4 refuse features that start at 0 (KAFKA-17011).
func features(version int16) ([]kmsg.ApiVersionsResponseSupportedFeature, []kmsg.ApiVersionsResponseFinalizedFeature) {
	supported := []kmsg.ApiVersionsResponseSupportedFeature{
		{Name: "metadata.version", MinVersion: oldestMetadataVersion, MaxVersion: metadataVersion},
	}
	if version >= 4 {
		supported = append(supported,
			kmsg.ApiVersionsResponseSupportedFeature{Name: "group.version"},
			kmsg.ApiVersionsResponseSupportedFeature{Name: "transaction.version"})
	}
	return supported, []kmsg.ApiVersionsResponseFinalizedFeature{
		{Name: "metadata.version", MaxVersionLevel: metadataVersion, MinVersionLevel: metadataVersion},
	}
}
