package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/topic"
)

func init() { register(0, 0, (*Router).listPartitionReassignments) }

// listPartitionReassignments lists the moves that were asked for and are not done, of all partitions or of those named.
// What is not there or not moving is left out, as Kafka does.
func (rt *Router) listPartitionReassignments(_ context.Context, _ *call, req *kmsg.ListPartitionReassignmentsRequest) (answer, error) {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	state := rt.Cluster.State()
	named := map[string][]int32{}
	for _, t := range req.Topics {
		named[t.Topic] = append(named[t.Topic], t.Partitions...)
	}
	var last topic.ID
	for _, m := range rt.Moves.UnderWay() {
		t, ok := state.TopicByID(m.Partition.Topic)
		if !ok || req.Topics != nil && !slices.Contains(named[t.Name], m.Partition.Index) {
			continue
		}
		if len(resp.Topics) == 0 || last != t.ID {
			out := kmsg.NewListPartitionReassignmentsResponseTopic()
			out.Topic, last = t.Name, t.ID
			resp.Topics = append(resp.Topics, out)
		}
		p := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		p.Partition, p.Replicas = m.Partition.Index, []int32{m.To, m.From}
		p.AddingReplicas, p.RemovingReplicas = []int32{m.To}, []int32{m.From}
		out := &resp.Topics[len(resp.Topics)-1]
		out.Partitions = append(out.Partitions, p)
	}
	return now(resp), nil
}
