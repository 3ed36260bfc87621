package api

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 5, (*Router).syncGroup) }

func (rt *Router) syncGroup(ctx context.Context, c *call, req *kmsg.SyncGroupRequest) (answer, error) {
	resp := kmsg.NewPtrSyncGroupResponse()
	if c.version >= 5 && (req.ProtocolType == nil || req.Protocol == nil) { // KIP-559
		resp.ErrorCode = rt.code(c, group.ErrInconsistentProtocol)
		return now(resp), nil
	}
	r := group.SyncRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: stringOf(req.InstanceID),
		Generation:   req.Generation,
		ProtocolType: req.ProtocolType, Protocol: req.Protocol,
		Assignments: make([]group.Assignment, len(req.GroupAssignment)),
	}
	for i, a := range req.GroupAssignment {
		r.Assignments[i] = group.Assignment{MemberID: a.MemberID, Bytes: bytes.Clone(a.MemberAssignment)} // kept; the frame is not
	}
	pending := rt.Groups.Sync(ctx, r)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if resp.ErrorCode = rt.code(c, either(err, reply.Err)); resp.ErrorCode == 0 {
			resp.ProtocolType, resp.Protocol = &reply.ProtocolType, &reply.Protocol
			resp.MemberAssignment = reply.Assignment
		}
		return resp, nil
	}, nil
}
