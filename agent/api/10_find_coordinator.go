package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 6, (*Router).findCoordinator) }

// coordinatorOfGroup is the type of coordinator that groups have; 1 is that of transactions, 2 of share groups.
const coordinatorOfGroup = 0

// findCoordinator names the agent that coordinates a group. The first call of a cluster creates the topic that holds
// groups, so it runs on the writer.
func (rt *Router) findCoordinator(_ context.Context, c *call, req *kmsg.FindCoordinatorRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrFindCoordinatorResponse()
		keys := req.CoordinatorKeys
		if c.version < 4 {
			keys = []string{req.CoordinatorKey}
		}
		for _, key := range keys {
			resp.Coordinators = append(resp.Coordinators, rt.coordinator(ctx, c, req.CoordinatorType, key))
		}
		if c.version < 4 {
			k := resp.Coordinators[0]
			resp.ErrorCode, resp.ErrorMessage, resp.NodeID, resp.Host, resp.Port = k.ErrorCode, k.ErrorMessage, k.NodeID, k.Host, k.Port
			resp.Coordinators = nil
		}
		return resp, ctx.Err()
	}, nil
}

func (rt *Router) coordinator(ctx context.Context, c *call, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	out := kmsg.NewFindCoordinatorResponseCoordinator()
	out.Key, out.NodeID, out.Port = key, -1, -1
	if kind != coordinatorOfGroup {
		out.ErrorCode = kerr.InvalidRequest.Code
		out.ErrorMessage = kmsg.StringPtr("only groups have coordinators here: transactions and share groups are not supported")
		return out
	}
	agent, err := rt.Coordinators.Coordinator(ctx, key)
	if err != nil {
		out.ErrorCode, out.ErrorMessage = rt.code(c, err), messageOf(err)
		return out
	}
	out.NodeID, out.Host, out.Port = agent.NodeID, agent.Host, agent.Port
	return out
}
