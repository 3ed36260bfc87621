package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
)

func init() { register(0, 3, (*Router).deleteGroups) }

// deleteGroups deletes groups that have no members, with their offsets; each is answered when its records count.
func (rt *Router) deleteGroups(ctx context.Context, c *call, req *kmsg.DeleteGroupsRequest) (answer, error) {
	pending := make([]*group.Pending[group.DeleteReply], len(req.Groups))
	for i, id := range req.Groups {
		pending[i] = rt.Groups.Delete(ctx, group.DeleteRequest{Group: id})
	}
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrDeleteGroupsResponse()
		for i, id := range req.Groups {
			reply, err := pending[i].Wait(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			err = either(err, reply.Err)
			out := kmsg.NewDeleteGroupsResponseGroup()
			out.Group, out.ErrorCode, out.ErrorMessage = id, rt.code(c, err), messageOf(err)
			resp.Groups = append(resp.Groups, out)
		}
		return resp, nil
	}, nil
}
