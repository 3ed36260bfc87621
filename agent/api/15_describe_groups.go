package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 6, (*Router).describeGroups) }

// describeGroups shows groups. One that does not exist is Dead, from version 6 on with GROUP_ID_NOT_FOUND (KIP-1043).
func (rt *Router) describeGroups(ctx context.Context, c *call, req *kmsg.DescribeGroupsRequest) (answer, error) {
	pending := make([]*group.Pending[group.DescribeReply], len(req.Groups))
	for i, id := range req.Groups {
		pending[i] = rt.Groups.Describe(ctx, group.DescribeRequest{Group: id})
	}
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDescribeGroupsResponse()
		for i, id := range req.Groups {
			reply, err := pending[i].Wait(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			out := describedGroup(reply)
			out.Group = id
			err = groupNotFound(either(err, reply.Err), nil, c.version, 6)
			out.ErrorCode = rt.code(c, err)
			if errors.Is(err, group.ErrGroupNotFound) {
				out.ErrorMessage = messageOf(err)
			}
			if req.IncludeAuthorizedOperations && err == nil {
				out.AuthorizedOperations = groupOperations
			}
			resp.Groups = append(resp.Groups, out)
		}
		return resp, nil
	}, nil
}

func describedGroup(r group.DescribeReply) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.State, out.ProtocolType, out.Protocol = string(r.State), r.ProtocolType, r.Protocol
	for _, m := range r.Members {
		w := kmsg.NewDescribeGroupsResponseGroupMember()
		w.MemberID, w.InstanceID = m.ID, optional(m.InstanceID)
		w.ClientID, w.ClientHost = m.ClientID, m.ClientHost
		w.ProtocolMetadata, w.MemberAssignment = m.Metadata, m.Assignment
		out.Members = append(out.Members, w)
	}
	return out
}
