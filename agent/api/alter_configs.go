package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

// alteration is one resource of AlterConfigs or IncrementalAlterConfigs. change reads the request against what is set
// now and says what is to be set and deleted.
type alteration struct {
	kind   kmsg.ConfigResourceType
	name   string
	change func(set topic.Config, table topic.Table) (ConfigChange, error)
}

// errMalformedChange says that a request contradicts itself, whatever the settings are.
var errMalformedChange = errors.New("the change is malformed")

// changeCode tells a malformed request from a setting that does not take its value.
func changeCode(err error) int16 {
	if errors.Is(err, errMalformedChange) {
		return kerr.InvalidRequest.Code
	}
	return kerr.InvalidConfig.Code
}

// altered is the answer for one resource.
type altered struct {
	code    int16
	message *string
}

// alter checks and makes changes; with validateOnly it only checks.
func (rt *Router) alter(ctx context.Context, c *call, resources []alteration, validateOnly bool) []altered {
	state := rt.Cluster.State()
	out := make([]altered, len(resources))
	named := map[string]int{}
	for _, r := range resources {
		named[fmt.Sprintf("%d %s", r.kind, r.name)]++
	}
	var topics []ConfigChange
	var at []int
	for i, r := range resources {
		change, code, err := rt.checkAlteration(state, r)
		if named[fmt.Sprintf("%d %s", r.kind, r.name)] > 1 {
			code, err = kerr.InvalidRequest.Code, errors.New("the resource is named twice")
		}
		switch {
		case err != nil:
			out[i] = altered{code, messageOf(err)}
		case validateOnly || len(change.Set)+len(change.Delete) == 0:
		case r.kind == kmsg.ConfigResourceTypeTopic:
			topics, at = append(topics, change), append(at, i)
		default:
			err := rt.Admin.AlterClusterConfigs(ctx, change)
			out[i] = altered{rt.code(c, err), messageOf(err)}
		}
	}
	if len(topics) > 0 {
		for k, err := range rt.Admin.AlterTopicConfigs(ctx, topics) {
			out[at[k]] = altered{rt.code(c, err), messageOf(err)}
		}
	}
	return out
}

// checkAlteration decides the change of one resource, or why there can be none.
func (rt *Router) checkAlteration(state State, r alteration) (ConfigChange, int16, error) {
	switch r.kind {
	case kmsg.ConfigResourceTypeTopic:
		if err := topic.ValidateName(r.name); err != nil {
			return ConfigChange{}, kerr.InvalidTopicException.Code, err
		}
		t, ok := state.TopicByName(r.name)
		if !ok {
			return ConfigChange{}, kerr.UnknownTopicOrPartition.Code, errors.New("there is no such topic")
		}
		change, err := r.change(t.Configs, topic.Settings)
		if err == nil {
			err = applied(t.Configs, change).Validate()
		}
		change.Topic = t.ID
		return change, changeCode(err), err
	case kmsg.ConfigResourceTypeBroker:
		if r.name != "" {
			return ConfigChange{}, kerr.InvalidRequest.Code, errors.New(`settings are changed for the whole cluster, the broker named ""`)
		}
		change, err := r.change(state.Info().Configs, topic.ClusterSettings)
		if err == nil {
			err = change.Set.ValidateCluster()
		}
		for _, name := range slices.Sorted(maps.Keys(change.Set)) {
			if err == nil && !dynamic[name] {
				err = fmt.Errorf("%s cannot be changed while agents run, it is given at their start", name)
			}
		}
		return change, changeCode(err), err
	}
	return ConfigChange{}, kerr.InvalidRequest.Code, fmt.Errorf("resources of type %d have no configs that can be changed here", r.kind)
}

// applied is what is set after a change.
func applied(set topic.Config, change ConfigChange) topic.Config {
	after := topic.Config{}
	maps.Copy(after, set)
	maps.Copy(after, change.Set)
	for _, name := range change.Delete {
		delete(after, name)
	}
	return after
}
