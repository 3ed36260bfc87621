package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 2, (*Router).describeCluster) }

// endpointOfBrokers is the kind of address that clients reach; that of controllers does not exist here.
const endpointOfBrokers, endpointOfControllers = 1, 2

// describeCluster lists the agents. Each may be asked what Kafka's controller is asked, so the answering one is named
// as controller. Agents that died are not remembered, so there are no fenced ones to include.
func (rt *Router) describeCluster(_ context.Context, c *call, req *kmsg.DescribeClusterRequest) (answer, error) {
	resp := kmsg.NewPtrDescribeClusterResponse()
	if c.version >= 1 && req.EndpointType != endpointOfBrokers {
		resp.ErrorCode, resp.EndpointType = kerr.MismatchedEndpointType.Code, endpointOfBrokers
		resp.ErrorMessage = kmsg.StringPtr("this is an address for clients, and there are no controllers")
		if req.EndpointType != endpointOfControllers {
			resp.ErrorCode = kerr.UnsupportedEndpointType.Code
			resp.ErrorMessage = kmsg.StringPtr(fmt.Sprintf("unknown endpoint type %d", req.EndpointType))
		}
		return now(resp), nil
	}
	state := rt.Cluster.State()
	resp.ClusterID, resp.ControllerID, resp.EndpointType = state.Info().ID, controllerOf(state, rt.Cluster.NodeID()), endpointOfBrokers
	resp.ClusterAuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, allClusterOperations)
	for _, a := range state.Agents() {
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.Rack = a.NodeID, a.Host, a.Port, rack(a)
		resp.Brokers = append(resp.Brokers, b)
	}
	return now(resp), nil
}
