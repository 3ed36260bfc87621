package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 1, (*Router).incrementalAlterConfigs) }

// incrementalAlterConfigs sets, deletes, appends to and subtracts from single settings (KIP-339).
func (rt *Router) incrementalAlterConfigs(_ context.Context, c *call, req *kmsg.IncrementalAlterConfigsRequest) (answer, error) {
	return func(ctx context.Context) (kmsg.Response, error) {
		resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
		var resources []alteration
		for i := range req.Resources {
			r := &req.Resources[i]
			resources = append(resources, alteration{kind: r.ResourceType, name: r.ResourceName,
				change: func(set topic.Config, table topic.Table) (ConfigChange, error) {
					return increment(set, table, r.Configs)
				}})
		}
		for i, a := range rt.alter(ctx, c, resources, req.ValidateOnly) {
			out := kmsg.NewIncrementalAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = resources[i].kind, resources[i].name
			out.ErrorCode, out.ErrorMessage = a.code, a.message
			resp.Resources = append(resp.Resources, out)
		}
		return resp, ctx.Err()
	}, nil
}

// increment works the operations out against what is set.
func increment(set topic.Config, table topic.Table, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) (ConfigChange, error) {
	change := ConfigChange{Set: topic.Config{}}
	seen := map[string]bool{}
	for _, op := range ops {
		if seen[op.Name] {
			return change, fmt.Errorf("%w: setting %q is given twice", errMalformedChange, op.Name)
		}
		seen[op.Name] = true
		if op.Op == kmsg.IncrementalAlterConfigOpDelete {
			if _, isSet := set[op.Name]; isSet { // what is not set, known or not, stays so
				change.Delete = append(change.Delete, op.Name)
			}
			continue
		}
		if op.Value == nil {
			return change, fmt.Errorf("%w: setting %q has no value", errMalformedChange, op.Name)
		}
		value, err := incremented(set, table, op)
		if err != nil {
			return change, err
		}
		change.Set[op.Name] = value
	}
	return change, nil
}

// incremented is the value of a setting after an operation that is not a deletion.
func incremented(set topic.Config, table topic.Table, op kmsg.IncrementalAlterConfigsRequestResourceConfig) (string, error) {
	if op.Op == kmsg.IncrementalAlterConfigOpSet {
		return *op.Value, nil
	}
	s, ok := table.Find(op.Name)
	if !ok {
		return "", topic.UnknownName("setting", op.Name, table.Names())
	}
	if s.Type != topic.List {
		return "", fmt.Errorf("setting %q is no list to append to or subtract from", op.Name)
	}
	value, isSet := set[op.Name]
	if !isSet {
		value = s.Default
	}
	items := topic.SplitList(value)
	for _, item := range topic.SplitList(*op.Value) {
		i := slices.Index(items, item)
		switch {
		case op.Op == kmsg.IncrementalAlterConfigOpAppend && i < 0:
			items = append(items, item)
		case op.Op == kmsg.IncrementalAlterConfigOpSubtract && i >= 0:
			items = slices.Delete(items, i, i+1)
		case op.Op != kmsg.IncrementalAlterConfigOpAppend && op.Op != kmsg.IncrementalAlterConfigOpSubtract:
			return "", fmt.Errorf("unknown operation %d on setting %q", op.Op, op.Name)
		}
	}
	return strings.Join(items, ","), nil
}
