package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 2, (*Router).describeCluster) }

// endpointOfBrokers is the kind of address that clients reach; controllers have none of their own here.
const endpointOfBrokers = 1

// describeCluster lists the agents. Each may be asked what Kafka's controller is asked, so the answering one is named
// as controller. Agents that died are not remembered, so there are no fenced ones to include.
func (rt *Router) describeCluster(_ context.Context, c *call, req *kmsg.DescribeClusterRequest) (answer, error) {
	resp := kmsg.NewPtrDescribeClusterResponse()
	state := rt.Cluster.State()
	resp.ClusterID, resp.ControllerID, resp.EndpointType = state.Info().ID, rt.Cluster.NodeID(), endpointOfBrokers
	resp.ClusterAuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, allClusterOperations)
	if c.version >= 1 && req.EndpointType != endpointOfBrokers {
		resp.ErrorCode = kerr.MismatchedEndpointType.Code
		resp.ErrorMessage = kmsg.StringPtr("this is an address for clients, and there are no controllers")
		return now(resp), nil
	}
	for _, a := range state.Agents() {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = a.NodeID, a.Host, a.Port, rack(a)
		resp.Brokers = append(resp.Brokers, b)
	}
	return now(resp), nil
}
