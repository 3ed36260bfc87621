package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 2, (*Router).alterConfigs) }

// alterConfigs replaces all that is set for a resource: what the request does not name goes back to its default.
func (rt *Router) alterConfigs(_ context.Context, c *call, req *kmsg.AlterConfigsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrAlterConfigsResponse()
		var resources []alteration
		for i := range req.Resources {
			r := &req.Resources[i]
			resources = append(resources, alteration{kind: r.ResourceType, name: r.ResourceName,
				change: func(set topic.Config, _ topic.Table) (ConfigChange, error) { return replacement(set, r.Configs) }})
		}
		for i, a := range rt.alter(ctx, c, resources, req.ValidateOnly) {
			out := kmsg.NewAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = resources[i].kind, resources[i].name
			out.ErrorCode, out.ErrorMessage = a.code, a.message
			resp.Resources = append(resp.Resources, out)
		}
		return resp, ctx.Err()
	}, nil
}

// replacement sets what is given and deletes the rest.
func replacement(set topic.Config, given []kmsg.AlterConfigsRequestResourceConfig) (ConfigChange, error) {
	change := ConfigChange{Set: topic.Config{}}
	for _, g := range given {
		if _, twice := change.Set[g.Name]; twice {
			return change, fmt.Errorf("%w: setting %q is given twice", errMalformedChange, g.Name)
		}
		if g.Value == nil {
			return change, fmt.Errorf("%w: setting %q has no value", errMalformedChange, g.Name)
		}
		change.Set[g.Name] = *g.Value
	}
	for name := range set {
		if _, stays := change.Set[name]; !stays {
			change.Delete = append(change.Delete, name)
		}
	}
	return change, nil
}
