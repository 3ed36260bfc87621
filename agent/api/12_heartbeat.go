package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 4, (*Router).heartbeat) }

func (rt *Router) heartbeat(ctx context.Context, c *call, req *kmsg.HeartbeatRequest) (answer, error) {
	pending := rt.Groups.Heartbeat(ctx, group.HeartbeatRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: stringOf(req.InstanceID),
		Generation: req.Generation,
	})
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = rt.code(c, either(err, reply.Err))
		return resp, nil
	}, nil
}
