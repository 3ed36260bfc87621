package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func init() { register(0, 5, (*Router).listGroups) }

// classicType is the type of all groups here, under Kafka's name.
const classicType = "classic"

// listGroups lists the groups that this agent coordinates; a client asks every agent.
func (rt *Router) listGroups(_ context.Context, c *call, req *kmsg.ListGroupsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrListGroupsResponse()
		groups, err := rt.Groups.List(ctx)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if resp.ErrorCode = rt.code(c, err); resp.ErrorCode != 0 {
			return resp, nil
		}
		if !wanted(req.TypesFilter, classicType) {
			return resp, nil
		}
		for _, g := range groups {
			if !wanted(req.StatesFilter, string(g.State)) {
				continue
			}
			out := kmsg.NewListGroupsResponseGroup()
			out.Group, out.ProtocolType = g.Group, g.ProtocolType
			out.GroupState, out.GroupType = string(g.State), classicType
			resp.Groups = append(resp.Groups, out)
		}
		return resp, nil
	}, nil
}

// wanted applies a filter: an empty one wants all. Letter case does not matter.
func wanted(filter []string, have string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, have) })
}
