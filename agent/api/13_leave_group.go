package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 5, (*Router).leaveGroup) }

// leaveGroup takes several members out from version 3 on, with an error for each; before, one with the error of all.
func (rt *Router) leaveGroup(ctx context.Context, c *call, req *kmsg.LeaveGroupRequest) (answer, error) {
	r := group.LeaveRequest{Group: req.Group}
	if c.version < 3 {
		r.Members = []group.LeavingMember{{MemberID: req.MemberID}}
	}
	for _, m := range req.Members {
		r.Members = append(r.Members, group.LeavingMember{MemberID: m.MemberID, InstanceID: stringOf(m.InstanceID)})
	}
	pending := rt.Groups.Leave(ctx, r)
	return func(ctx context.Context) (kmsg.Response, error) {
		reply, err := pending.Wait(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		resp := kmsg.NewPtrLeaveGroupResponse()
		if resp.ErrorCode = rt.code(c, either(err, reply.Err)); resp.ErrorCode != 0 {
			return resp, nil
		}
		if c.version < 3 {
			resp.ErrorCode = rt.code(c, reply.Errs[0])
			return resp, nil
		}
		for i, m := range req.Members {
			out := kmsg.NewLeaveGroupResponseMember()
			out.MemberID, out.InstanceID = m.MemberID, m.InstanceID
			out.ErrorCode = rt.code(c, reply.Errs[i])
			resp.Members = append(resp.Members, out)
		}
		return resp, nil
	}, nil
}
